import type { CryptoKey, JWK } from 'jose';
import { webcrypto } from 'node:crypto';
import { ProviderUnavailableError, TokenRejectedError } from '../../src/errors.js';
import { leanFetch } from '../../src/fetch.js';
import { createIssuer } from '../../src/rollup/issuer.js';
import { verifyToken } from '../../src/rollup/token-verifier.js';
import { ecSigner, edSigner, rsaSigner, type Signer } from '../kit/forged-token.js';
import { useRollupId } from '../kit/hooks.js';

const LIFETIMES = { maxAgeMs: 600_000, cooldownMs: 0, staleMs: 0 };

describe('of a key set', () => {
  const rollup = useRollupId();
  /** The provider's own key, as it publishes it. */
  let own: JWK & { kid: string };
  beforeEach(async () => {
    await rollup.rotateKeys({ keepOld: false });
    const response = await fetch(`${rollup.url}/.well-known/jwks.json`);
    [own] = ((await response.json()) as { keys: [typeof own] }).keys;
  });

  const newIssuer = () =>
    createIssuer({
      issuer: rollup.url,
      timeoutMs: 5_000,
      lifetimes: LIFETIMES,
      fetch: leanFetch,
      now: Date.now,
    });

  /** Publishes these keys, and verifies a token under them; by a server that starts, unless it is given. */
  async function verify(
    keys: readonly unknown[],
    overrides: Parameters<typeof rollup.mint>[2] = {},
    issuer = newIssuer(),
  ) {
    rollup.switches.faults.jwks.standing = { body: { keys } };
    await issuer.refreshKeys('any');
    const token = await rollup.mint('access', rollup.people[0] as never, overrides);
    return verifyToken(token, { issuer, clientId: rollup.clientId, now: Date.now });
  }
  const sub = () => rollup.people[0]?.sub;
  const noKid = { header: { kid: undefined } };
  const withoutKid = ({ kid: _kid, ...key }: JWK): JWK => key;
  const signedBy = async ({ privateKey }: Signer) => {
    const key = await webcrypto.subtle.importKey(
      'jwk',
      privateKey.export({ format: 'jwk' }),
      { name: 'ECDSA', namedCurve: 'P-256' },
      false,
      ['sign'],
    );
    return { key: key as CryptoKey };
  };

  test('VLT-81 the same key twice counts once', async () => {
    expect((await verify([own, { ...own, use: 'sig' }])).sub).toBe(sub());
    expect((await verify([own, { ...own, key_ops: ['verify'] }], noKid)).sub).toBe(sub());
  });

  test.each<[string, (kid: string) => unknown]>([
    ['RSA', (kid) => rsaSigner(kid, 'RS256').jwk],
    ['Ed25519', (kid) => edSigner(kid).jwk],
    ['P-384', (kid) => ecSigner(kid, 'P-384', 'ES384').jwk],
    ['P-256 for encryption', (kid) => ({ ...ecSigner(kid).jwk, use: 'enc' })],
    ['P-256 that is no point', (kid) => ({ ...ecSigner(kid).jwk, y: 'AAAA' })],
    ['P-256 that is private', (kid) => ({ ...ecSigner(kid).jwk, d: 'AAAA' })],
    ['symmetric', (kid) => ({ kty: 'oct', k: 'AAAA', kid })],
    ['no object', () => 'key'],
  ])('VLT-81 a stranger that is %s is ignored, with the same kid or none', async (_title, stranger) => {
    const same = stranger(own.kid);
    const none = typeof same === 'object' ? { ...same, kid: undefined } : same;
    for (const keys of [
      [same, own],
      [none, own],
      [none, own, none, same],
    ]) {
      expect((await verify(keys)).sub).toBe(sub());
      expect((await verify(keys, noKid)).sub).toBe(sub());
    }
  });

  test.each([
    ['share a kid', (key: JWK) => key],
    ['have no kid', withoutKid],
  ])('VLT-81 different keys that %s verify nothing, and spoil no other', async (_title, publish) => {
    const [one, two] = [ecSigner('shared'), ecSigner('shared')];
    const keys = [publish(one.jwk), own, publish(two.jwk)];
    expect((await verify(keys)).sub).toBe(sub());
    for (const signer of [one, two]) {
      const { key } = await signedBy(signer);
      for (const kid of ['shared', undefined]) {
        await expect(verify(keys, { key, header: { kid } })).rejects.toThrow(TokenRejectedError);
      }
    }
    await expect(verify([keys[0], keys[2]])).rejects.toThrow(ProviderUnavailableError);
  });

  test('VLT-81 a key that was known stays when another one takes its kid, which verifies nothing', async () => {
    const issuer = newIssuer();
    const [thief, other] = [ecSigner(own.kid), ecSigner('other')];
    expect((await verify([own, other.jwk], {}, issuer)).sub).toBe(sub());
    const keys = [thief.jwk, own, other.jwk];
    expect((await verify(keys, {}, issuer)).sub).toBe(sub());
    await expect(verify(keys, await signedBy(thief), issuer)).rejects.toThrow(
      'SIGNATURE_VERIFICATION_FAILED',
    );
  });

  test('VLT-81 one key without kid is another key: no token without kid is accepted', async () => {
    const keys = [own, withoutKid(ecSigner('other').jwk)];
    expect((await verify(keys)).sub).toBe(sub());
    await expect(verify(keys, noKid)).rejects.toThrow(TokenRejectedError);
  });

  test('VLT-81 a kid that is no text spoils nothing', async () => {
    expect((await verify([{ ...ecSigner('a').jwk, kid: 7 }, own])).sub).toBe(sub());
    expect((await verify([{ ...own, kid: 7 }], noKid)).sub).toBe(sub());
  });
});
