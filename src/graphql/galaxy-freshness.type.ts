import { GraphQLDateTime } from 'graphql-scalars';
import { Field, Int, ObjectType } from 'type-graphql';
import { Access } from './access.js';

@Access('authenticated')
@ObjectType('GalaxyFreshness', {
  description: 'How old the answer of Galaxy is that an account is shown with.',
})
export class GalaxyFreshnessType {
  @Field(() => GraphQLDateTime)
  fetchedAt!: Date;

  @Field(() => Int)
  ageSeconds!: number;

  @Field(() => Boolean, {
    description:
      'True for an older answer, served because Galaxy could not be asked or may not be asked again yet.',
  })
  stale!: boolean;
}
