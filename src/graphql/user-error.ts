import { Field, type ClassType, InterfaceType, ObjectType, registerEnumType } from 'type-graphql';
import { AppError } from '../errors.js';
import { Access } from './access.js';

@InterfaceType('UserError', { description: 'An outcome of a mutation that a client must plan for.' })
export abstract class UserErrorType {
  @Field(() => String, {
    nullable: true,
    description: 'The input field that it is about, when it is about one.',
  })
  field!: string | null;

  @Field(() => String)
  message!: string;
}

/** One entry of `userErrors`, as a resolver returns it. */
export interface UserError<Code extends string> {
  readonly code: Code;
  readonly field: string | null;
  readonly message: string;
}

/** Codes with a description each, and the input field that a code is about. */
export type UserErrorCodes<Code extends string> = Readonly<
  Record<Code, { readonly description: string; readonly field?: string }>
>;

/** The `userErrors` entry of one mutation: its GraphQL type, and the translation of our errors into entries. */
export interface UserErrorDefinition<Code extends string> {
  readonly type: ClassType<UserErrorType>;
  /** Runs the mutation; a failure with one of the codes becomes an entry, every other is thrown on. */
  attempt<Success>(
    run: () => Promise<Success>,
  ): Promise<(Success & { userErrors: [] }) | { userErrors: [UserError<Code>] }>;
}

/** Defines `<Mutation>Error` with an enum `<Mutation>ErrorCode` of its own. */
export function defineUserErrors<Code extends string>(
  mutation: string,
  codes: UserErrorCodes<Code>,
): UserErrorDefinition<Code> {
  const names = Object.keys(codes) as Code[];
  const codeEnum = Object.fromEntries(names.map((name) => [name, name]));
  registerEnumType(codeEnum, { name: `${mutation}ErrorCode`, valuesConfig: codes });

  @Access('public')
  @ObjectType(`${mutation}Error`, { implements: UserErrorType })
  class MutationErrorType extends UserErrorType {
    @Field(() => codeEnum)
    code!: Code;
  }

  return {
    type: MutationErrorType,
    async attempt(run) {
      try {
        return { ...(await run()), userErrors: [] };
      } catch (error) {
        const code = error instanceof AppError && names.find((name) => name === error.code);
        if (!code) throw error;
        return { userErrors: [{ code, field: codes[code].field ?? null, message: error.message }] };
      }
    },
  };
}
