import { Field, ObjectType, registerEnumType } from 'type-graphql';
import { Access } from './access.js';

const KNOWN_TYPES = [
  'ETH',
  'SMART_CONTRACT_WALLET',
  'GOOGLE',
  'GITHUB',
  'TWITTER',
  'MICROSOFT',
  'APPLE',
  'DISCORD',
  'EMAIL',
  'WEBAUTHN',
  'MASK',
  'HANDLE',
] as const;

type TypeName = (typeof KNOWN_TYPES)[number] | 'OTHER';

const typeEnum = Object.fromEntries([...KNOWN_TYPES, 'OTHER'].map((name) => [name, name]));
registerEnumType(typeEnum, {
  name: 'ConnectedAccountType',
  description: 'The kinds of login that Rollup ID connects.',
  valuesConfig: {
    ETH: { description: 'An Ethereum address.' },
    MASK: { description: 'An email address that hides another one.' },
    OTHER: { description: 'A kind that this server does not know yet; `rawType` names it.' },
  },
});

@Access('authenticated')
@ObjectType('ConnectedAccount', { description: 'A login that a person connected to their identity.' })
export class ConnectedAccountType {
  @Field(() => typeEnum)
  type!: TypeName;

  @Field(() => String, { nullable: true, description: 'The kind as Rollup ID writes it, such as "github".' })
  rawType?: string | undefined;

  @Field(() => String, {
    nullable: true,
    description:
      'By kind: a login, a user name, an address. For Google, Microsoft, Apple, Discord and email it is an email address.',
  })
  identifier?: string | undefined;
}

/** A connected account as the schema shows it; a kind that is not known is `OTHER`. */
export function toConnectedAccount(account: {
  readonly type: string | undefined;
  readonly identifier: string | undefined;
}): ConnectedAccountType {
  const { type: rawType, identifier } = account;
  const type = KNOWN_TYPES.find((name) => name.toLowerCase() === rawType) ?? 'OTHER';
  return { type, rawType, identifier };
}
