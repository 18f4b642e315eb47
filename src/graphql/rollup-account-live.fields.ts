import { FieldResolver, Resolver } from 'type-graphql';
import type { Userinfo } from '../accounts/userinfo-reader.js';
import { withRetryAfter } from '../galaxy/galaxy-back-off.js';
import type { GalaxyReading } from '../galaxy/galaxy-reader.js';
import { Access } from './access.js';
import { AuthorizedAppType } from './authorized-app.type.js';
import { ConnectedAccountType, toConnectedAccount } from './connected-account.type.js';
import { GalaxyFreshnessType } from './galaxy-freshness.type.js';
import { GalaxyProfileType } from './galaxy-profile.type.js';
import { AccountGalaxy, AccountUserinfo } from './parameters.js';
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
  profile(@AccountGalaxy() galaxy: GalaxyReading): GalaxyProfileType | undefined {
    return partOf(galaxy, 'profile');
  }

  @Access(['profile'])
  @FieldResolver(() => [ConnectedAccountType], {
    nullable: true,
    description: 'From Galaxy: the connected accounts that the person made public. See `galaxyFreshness`.',
  })
  publicAccounts(@AccountGalaxy() galaxy: GalaxyReading): ConnectedAccountType[] {
    return partOf(galaxy, 'publicAccounts').map(toConnectedAccount);
  }

  @Access(['profile'])
  @FieldResolver(() => [AuthorizedAppType], {
    nullable: true,
    description: 'From Galaxy: the applications that the person let in. See `galaxyFreshness`.',
  })
  authorizedApps(@AccountGalaxy() galaxy: GalaxyReading): readonly AuthorizedAppType[] {
    return partOf(galaxy, 'authorizedApps');
  }

  @Access(['profile'])
  @FieldResolver(() => GalaxyFreshnessType, {
    nullable: true,
    description:
      'How old `profile`, `publicAccounts` and `authorizedApps` are: they come in one response of Galaxy.',
  })
  galaxyFreshness(@AccountGalaxy() { fetchedAt, ageSeconds, stale }: GalaxyReading): GalaxyFreshnessType {
    return { fetchedAt, ageSeconds, stale };
  }

  @Access(['connected_accounts'])
  @FieldResolver(() => [ConnectedAccountType], {
    nullable: true,
    description:
      'From userinfo, live: the connected accounts that the person chose to show, private ones too.',
  })
  connectedAccounts(@AccountUserinfo() { connectedAccounts }: Userinfo): ConnectedAccountType[] {
    return connectedAccounts.map(toConnectedAccount);
  }

  @Access(['erc_4337'])
  @FieldResolver(() => [SmartContractWalletType], {
    nullable: true,
    description: 'From userinfo, live: the wallets that the person chose to show.',
  })
  smartContractWallets(
    @AccountUserinfo() { smartContractWallets }: Userinfo,
  ): readonly SmartContractWalletType[] {
    return smartContractWallets;
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
