import { Ctx, FieldResolver, Resolver, Root } from 'type-graphql';
import type { AccountRecord } from '../accounts/account.repository.js';
import { scopesUnlocking } from '../accounts/consented-scope.js';
import { withRetryAfter } from '../galaxy/galaxy-back-off.js';
import type { GalaxyReading } from '../galaxy/galaxy-reader.js';
import { Access } from './access.js';
import { AuthorizedAppType } from './authorized-app.type.js';
import { ConnectedAccountType, toConnectedAccount } from './connected-account.type.js';
import type { RequestContext } from './context.js';
import { GalaxyFreshnessType } from './galaxy-freshness.type.js';
import { GalaxyProfileType } from './galaxy-profile.type.js';
import { RollupAccountType } from './rollup-account.type.js';
import { SmartContractWalletType } from './smart-contract-wallet.type.js';

const PROFILE = 'RollupAccount.profile';
const PUBLIC_ACCOUNTS = 'RollupAccount.publicAccounts';
const AUTHORIZED_APPS = 'RollupAccount.authorizedApps';
const FRESHNESS = 'RollupAccount.galaxyFreshness';
const CONNECTED_ACCOUNTS = 'RollupAccount.connectedAccounts';
const WALLETS = 'RollupAccount.smartContractWallets';

/** What is asked of Rollup ID at the time, with the account's own access token: Galaxy once and userinfo once. */
@Resolver(() => RollupAccountType)
export class RollupAccountLiveFields {
  @Access(scopesUnlocking(PROFILE))
  @FieldResolver(() => GalaxyProfileType, {
    nullable: true,
    description: 'From Galaxy: how the person shows themselves. See `galaxyFreshness`.',
  })
  async profile(
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
  ): Promise<GalaxyProfileType | undefined> {
    return partOf(await context.galaxyOf(account, PROFILE), 'profile');
  }

  @Access(scopesUnlocking(PUBLIC_ACCOUNTS))
  @FieldResolver(() => [ConnectedAccountType], {
    nullable: true,
    description: 'From Galaxy: the connected accounts that the person made public. See `galaxyFreshness`.',
  })
  async publicAccounts(
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
  ): Promise<ConnectedAccountType[]> {
    return partOf(await context.galaxyOf(account, PUBLIC_ACCOUNTS), 'publicAccounts').map(toConnectedAccount);
  }

  @Access(scopesUnlocking(AUTHORIZED_APPS))
  @FieldResolver(() => [AuthorizedAppType], {
    nullable: true,
    description: 'From Galaxy: the applications that the person let in. See `galaxyFreshness`.',
  })
  async authorizedApps(
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
  ): Promise<readonly AuthorizedAppType[]> {
    return partOf(await context.galaxyOf(account, AUTHORIZED_APPS), 'authorizedApps');
  }

  @Access(scopesUnlocking(FRESHNESS))
  @FieldResolver(() => GalaxyFreshnessType, {
    nullable: true,
    description:
      'How old `profile`, `publicAccounts` and `authorizedApps` are: they come in one answer of Galaxy.',
  })
  async galaxyFreshness(
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
  ): Promise<GalaxyFreshnessType> {
    const { fetchedAt, ageSeconds, stale } = await context.galaxyOf(account, FRESHNESS);
    return { fetchedAt, ageSeconds, stale };
  }

  @Access(scopesUnlocking(CONNECTED_ACCOUNTS))
  @FieldResolver(() => [ConnectedAccountType], {
    nullable: true,
    description:
      'From userinfo, live: the connected accounts that the person chose to show, private ones too.',
  })
  async connectedAccounts(
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
  ): Promise<ConnectedAccountType[]> {
    const { connectedAccounts } = await context.userinfoOf(account, CONNECTED_ACCOUNTS);
    return connectedAccounts.map(toConnectedAccount);
  }

  @Access(scopesUnlocking(WALLETS))
  @FieldResolver(() => [SmartContractWalletType], {
    nullable: true,
    description: 'From userinfo, live: the wallets that the person chose to show.',
  })
  async smartContractWallets(
    @Root() account: AccountRecord,
    @Ctx() context: RequestContext,
  ): Promise<readonly SmartContractWalletType[]> {
    return (await context.userinfoOf(account, WALLETS)).smartContractWallets;
  }
}

type PartName = keyof GalaxyReading['answer'];
type ValueOf<Name extends PartName> = Extract<GalaxyReading['answer'][Name], { value: unknown }>['value'];

/** One field of an answer, or the reason why this one is missing. */
function partOf<Name extends PartName>({ answer, retryAfterMs }: GalaxyReading, name: Name): ValueOf<Name> {
  const part = answer[name];
  if ('error' in part) throw withRetryAfter(part.error, retryAfterMs);
  return part.value as ValueOf<Name>;
}
