import { Field, ObjectType } from 'type-graphql';
import { Access } from './access.js';

@Access('authenticated')
@ObjectType('GalaxyPicture', { description: 'A picture in the profile graph.' })
export class GalaxyPictureType {
  @Field(() => String, { nullable: true, description: 'Its URL.' })
  image?: string | undefined;

  @Field(() => Boolean, { description: 'Whether it is an NFT.' })
  isToken!: boolean;
}

@Access('authenticated')
@ObjectType('GalaxyProfile', { description: 'How a person shows themselves in the profile graph.' })
export class GalaxyProfileType {
  @Field(() => String, { nullable: true })
  displayName?: string | undefined;

  @Field(() => GalaxyPictureType, { nullable: true, description: 'The profile picture.' })
  pfp?: GalaxyPictureType | undefined;
}
