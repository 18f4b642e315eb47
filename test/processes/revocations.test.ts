import {
  LinkRollupAccountDocument,
  StartRollupLinkDocument,
  UnlinkRollupAccountDocument,
} from '../generated/graphql.js';
import { eventually, waitUntil } from '../kit/eventually.js';
import { useStarted } from '../kit/hooks.js';
import { onPostgres } from '../kit/needs.js';
import { type Server, startServers } from '../kit/servers.js';
import { type StandardProvider, startStandardProvider } from '../kit/standard-provider.js';

const REDIRECT_URI = 'https://app.example/callback';
const people = Array.from({ length: 40 }, (_, index) => ({ sub: `urn:standard:${index}` }));

interface Linked {
  readonly accountId: string;
  readonly token: string;
}

describe('a provider that revokes', () => {
  let standard: StandardProvider;
  const all = useStarted(async (closeToo) => {
    standard = closeToo(await startStandardProvider({ people, redirectUris: [REDIRECT_URI] }));
    return startServers(2, { provider: () => standard });
  });
  let turn = 0;
  beforeEach(() => {
    standard.onRevocation = undefined;
    standard.calls.revocation = 0;
  });

  onPostgres('with processes that are killed', () => {
    test('VLT-98 is asked by another one after the first was killed between the commit and the revocation', async () => {
      const first = await all.add();
      const linked = await link(first);
      standard.onRevocation = () => new Promise(() => undefined);
      await unlink(first, linked);
      await waitUntil(() => standard.calls.revocation === 1);
      await first.stop('SIGKILL');
      expect(await pending()).toMatchObject([{ account_id: linked.accountId, failure_count: 1 }]);
      standard.onRevocation = undefined;
      await elapse();
      await nothingPending();
      expect(standard.calls.revocation).toBe(2);
      const told = all.servers.filter((server) => revoked(server, linked));
      expect(told).toHaveLength(1);
    });
  });

  test('VLT-98 is asked for what a process left that is gone, without another unlink', async () => {
    const linked = await link(all.server);
    await unlinkUnheard(linked);
    expect(await pending()).toHaveLength(1);
    await nothingPending();
    expect(all.servers.filter((server) => revoked(server, linked))).toHaveLength(1);
  });

  test('VLT-100 is asked once for each refresh token, whichever process unlinked', async () => {
    const linked: Linked[] = [];
    for (let count = 0; count < 12; count += 1) linked.push(await link(all.server));
    await Promise.all(
      linked.map((one, index) => unlink(all.servers[index % all.servers.length] ?? all.server, one)),
    );
    await nothingPending();
    expect(standard.calls.revocation).toBe(12);
  });

  const pending = () => all.em().execute('select * from pending_revocation');
  const elapse = () => all.em().execute('update pending_revocation set retry_at = clock_timestamp()');
  const nothingPending = () => eventually(async () => expect(await pending()).toEqual([]));

  async function link({ ask }: Server): Promise<Linked> {
    const input = { redirectUri: REDIRECT_URI, scopes: ['openid'] };
    const begun = (await ask(StartRollupLinkDocument, { input })).data.startRollupLink;
    const sub = people[(turn += 1)]?.sub ?? '';
    const url = await standard.approve(begun.authorizationUrl ?? '', { sub });
    const callback = { url, linkToken: begun.linkToken ?? '' };
    const { data } = await ask(LinkRollupAccountDocument, { input: { callback } });
    const { account, accessToken } = data.linkRollupAccount;
    return { accountId: account?.id ?? '', token: accessToken ?? '' };
  }

  async function unlink({ ask }: Server, { accountId, token }: Linked): Promise<void> {
    const { data } = await ask(UnlinkRollupAccountDocument, { input: { accountId } }, { token });
    expect(data.unlinkRollupAccount.unlinkedAccountId).toBe(accountId);
  }

  /** What an unlink leaves whose process is gone with its commit. */
  async function unlinkUnheard({ accountId }: Linked): Promise<void> {
    await all.em().transactional(async (tx) => {
      await tx.execute(
        `insert into pending_revocation (id, account_id, issuer, client_id, key_id, data_key, refresh_token, retry_at)
         select account_id, account_id, issuer, client_id, key_id, data_key, refresh_token,
           clock_timestamp() + interval '1 second' from sealed_tokens where account_id = ?`,
        [accountId],
      );
      await tx.execute('delete from rollup_account where id = ?', [accountId]);
    });
  }
});

function revoked(server: Server, { accountId }: Linked): boolean {
  return server.output().includes(`"event":"revoked","accountId":"${accountId}"`);
}
