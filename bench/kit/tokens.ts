import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { compact, segment } from '../../test/kit/forged-token.js';

/** The provider as both processes know it: the bench signs ahead what the provider signs when it is asked. */
export interface ProviderIdentity {
  readonly issuer: string;
  readonly clientId: string;
  /** PKCS #8, PEM. */
  readonly privateKey: string;
}

/** The tokens of a grant, as Rollup ID signs them. */
export interface SignedTokens {
  readonly accessToken: string;
  readonly idToken: string;
  readonly refreshToken: string;
}

const KID = 'bench-1';
export const SCOPES = ['openid', 'profile', 'email'];
const PICTURE = 'https://imagedelivery.example/a-picture-of-somebody/public';

export function createPrivateKeyPem(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** A `sub` as long as one of Rollup ID. */
export function createSub(): string {
  return `urn:rollupid:identity/0x${randomBytes(32).toString('hex')}`;
}

/** Signs the tokens of one provider with node:crypto, which costs less than Web Crypto. */
export function createMint({ issuer, clientId, privateKey }: ProviderIdentity) {
  const key = createPrivateKey(privateKey);
  const header = segment({ alg: 'ES256', jku: `${issuer}/.well-known/jwks.json`, kid: KID, typ: 'JWT' });
  const signed = (claims: object): string =>
    compact(Buffer.from(header, 'base64url'), claims, (input) =>
      sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }),
    );
  const scope = SCOPES.join(' ');
  const base = (sub: string, ageSeconds: number) => {
    const iat = Math.floor(Date.now() / 1_000) - ageSeconds;
    return { iss: issuer, aud: [clientId], sub, iat };
  };
  const jti = (): string => `0x${randomBytes(24).toString('hex')}`;
  const access = (sub: string, livesSeconds = 3_600, ageSeconds = 0): string => {
    const exp = Math.floor(Date.now() / 1_000) + livesSeconds;
    return signed({ ...base(sub, ageSeconds), exp, jti: jti(), scope });
  };
  return {
    jwk: { ...createPublicKey(key).export({ format: 'jwk' }), kid: KID, alg: 'ES256', use: 'sig' },
    access,
    /** @param livesSeconds the remaining life of the access token. */
    grant: (sub: string, livesSeconds = 3_600, ageSeconds = 0): SignedTokens => ({
      accessToken: access(sub, livesSeconds, ageSeconds),
      idToken: signed({
        ...base(sub, ageSeconds),
        exp: Math.floor(Date.now() / 1_000) + 3_600,
        name: 'Jane Doe',
        picture: PICTURE,
      }),
      refreshToken: signed({ ...base(sub, ageSeconds), jti: jti(), scope }),
    }),
  };
}
