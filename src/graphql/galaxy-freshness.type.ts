import { GraphQLDateTime } from 'graphql-scalars';
import { Field, Int, ObjectType } from 'type-graphql';
import { Access } from './access.js';

@Access('authenticated')
@ObjectType('GalaxyFreshness', {
  description: 'How old the response of Galaxy is that an account is shown with.',
})
export class GalaxyFreshnessType {
  @Field(() => GraphQLDateTime)
  fetchedAt!: Date;

  @Field(() => Int)
  ageSeconds!: number;

  @Field(() => Boolean, {
    description: 'True for an older response, served because Galaxy cannot be called now.',
  })
  stale!: boolean;
}
