import { GraphQLDateTime } from 'graphql-scalars';
import { Field, ObjectType } from 'type-graphql';
import { Access } from './access.js';

@Access('authenticated')
@ObjectType('AuthorizedApp', { description: 'An application that a person let in at Rollup ID.' })
export class AuthorizedAppType {
  @Field(() => String)
  clientId!: string;

  @Field(() => String, { nullable: true })
  title?: string | undefined;

  @Field(() => String, { nullable: true, description: "URL of the application's icon." })
  icon?: string | undefined;

  @Field(() => GraphQLDateTime, { nullable: true })
  authorizedAt?: Date | undefined;
}
