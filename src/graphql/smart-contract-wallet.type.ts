import { Field, ObjectType } from 'type-graphql';
import { Access } from './access.js';

@Access('authenticated')
@ObjectType('SmartContractWallet', { description: 'A smart contract wallet (ERC-4337) of an identity.' })
export class SmartContractWalletType {
  @Field(() => String, { nullable: true, description: 'Null when the person chose all wallets.' })
  nickname?: string | undefined;

  @Field(() => String)
  address!: string;
}
