import { Field, ObjectType } from 'type-graphql';
import { Access } from './access.js';

@Access('public')
@ObjectType('ConsentedScope', { description: 'A scope that a user consented to.' })
export class ConsentedScopeType {
  @Field(() => String)
  name!: string;

  @Field(() => String, {
    description: 'The name as a person reads it; the scope itself when it is not known.',
  })
  title!: string;

  @Field(() => String, { nullable: true })
  description!: string | null;

  @Field(() => [String], {
    description: 'What the scope unlocks, as schema coordinates such as "User.email".',
  })
  unlocks!: readonly string[];
}
