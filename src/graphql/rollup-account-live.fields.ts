import type { GraphQLResolveInfo } from 'graphql';
import { Ctx, FieldResolver, Info, Resolver, Root } from 'type-graphql';
import type { AccountRecord } from '../accounts/account.repository.js';
import { withRetryAfter } from '../galaxy/galaxy-back-off.js';
import type { GalaxyReading } from '../galaxy/galaxy-reader.js';
import { Access, requiredScopes } from './access.js';
import { AuthorizedAppType } from './authorized-app.type.js';
import { ConnectedAccountType, toConnectedAccount } from './connected-account.type.js';
import type { RequestContext } from './context.js';
import { GalaxyFreshnessType } from './galaxy-freshness.type.js';
import { GalaxyProfileType } from './galaxy-profile.type.js';
import { RollupAccountType } from './rollup-account.type.js';
import { SmartContractWalletType } from './smart-contract-wallet.type.js';

/** Live data of an account, requested with its own access token: Galaxy once and userinfo once. */
@Resolver(() => RollupAccountType)
export class RollupAccountLiveFields {
  @Access(['profile'])
  @FieldResolver(() => GalaxyProfileType, {
    nullable: true,
    description: 'From Galaxy: how the person shows themselves. See `galaxyFreshness`.',
  })
  async profile(
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<GalaxyProfileType | undefined> {
    return partOf(await context.galaxyOf(account, requiredScopes(info)), 'profile');
  }

  @Access(['profile'])
  @FieldResolver(() => [ConnectedAccountType], {
    nullable: true,
    description: 'From Galaxy: the connected accounts that the person made public. See `galaxyFreshness`.',
  })
  async publicAccounts(
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<ConnectedAccountType[]> {
    return partOf(await context.galaxyOf(account, requiredScopes(info)), 'publicAccounts').map(
      toConnectedAccount,
    );
  }

  @Access(['profile'])
  @FieldResolver(() => [AuthorizedAppType], {
    nullable: true,
    description: 'From Galaxy: the applications that the person let in. See `galaxyFreshness`.',
  })
  async authorizedApps(
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<readonly AuthorizedAppType[]> {
    return partOf(await context.galaxyOf(account, requiredScopes(info)), 'authorizedApps');
  }

  @Access(['profile'])
  @FieldResolver(() => GalaxyFreshnessType, {
    nullable: true,
    description:
      'How old `profile`, `publicAccounts` and `authorizedApps` are: they come in one response of Galaxy.',
  })
  async galaxyFreshness(
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<GalaxyFreshnessType> {
    const { fetchedAt, ageSeconds, stale } = await context.galaxyOf(account, requiredScopes(info));
    return { fetchedAt, ageSeconds, stale };
  }

  @Access(['connected_accounts'])
  @FieldResolver(() => [ConnectedAccountType], {
    nullable: true,
    description:
      'From userinfo, live: the connected accounts that the person chose to show, private ones too.',
  })
  async connectedAccounts(
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<ConnectedAccountType[]> {
    const { connectedAccounts } = await context.userinfoOf(account, requiredScopes(info));
    return connectedAccounts.map(toConnectedAccount);
  }

  @Access(['erc_4337'])
  @FieldResolver(() => [SmartContractWalletType], {
    nullable: true,
    description: 'From userinfo, live: the wallets that the person chose to show.',
  })
  async smartContractWallets(
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
    @Info() info: GraphQLResolveInfo,
  ): Promise<readonly SmartContractWalletType[]> {
    return (await context.userinfoOf(account, requiredScopes(info))).smartContractWallets;
  }
}

type PartName = keyof GalaxyReading['response'];
type ValueOf<Name extends PartName> = Extract<GalaxyReading['response'][Name], { value: unknown }>['value'];

/** One field of a response. Throws its error when it failed. */
function partOf<Name extends PartName>({ response, retryAfterMs }: GalaxyReading, name: Name): ValueOf<Name> {
  const part = response[name];
  if ('error' in part) throw withRetryAfter(part.error, retryAfterMs);
  return part.value;
}
