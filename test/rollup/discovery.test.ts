import { ProviderMisconfiguredError } from '../../src/errors.js';
import { discover } from '../../src/rollup/discovery.js';

const ISSUER = 'https://issuer.example';
const document = {
  issuer: ISSUER,
  authorization_endpoint: `${ISSUER}/authorize`,
  token_endpoint: `${ISSUER}/token`,
  userinfo_endpoint: `${ISSUER}/userinfo`,
  jwks_uri: `${ISSUER}/jwks`,
  revocation_endpoint: `${ISSUER}/revoke`,
};

describe('the discovery document', () => {
  test('names the endpoints', async () => {
    expect(await read(document)).toEqual({
      authorization: `${ISSUER}/authorize`,
      token: `${ISSUER}/token`,
      userinfo: `${ISSUER}/userinfo`,
      jwks: `${ISSUER}/jwks`,
      revocation: `${ISSUER}/revoke`,
    });
  });

  test('may lack a revocation endpoint', async () => {
    expect(await read({ ...document, revocation_endpoint: undefined })).toMatchObject({
      revocation: undefined,
    });
  });

  test.each([
    'authorization_endpoint',
    'token_endpoint',
    'userinfo_endpoint',
    'jwks_uri',
    'revocation_endpoint',
  ])('is rejected when its %s is of another origin, or no URL', async (name) => {
    const elsewhere = ['https://other.example/path', 'http://issuer.example/path', '/path', '', 7, null];
    for (const value of elsewhere) {
      await expect(read({ ...document, [name]: value })).rejects.toThrow(ProviderMisconfiguredError);
    }
  });

  test('is rejected when it is of another issuer', async () => {
    await expect(read({ ...document, issuer: 'https://other.example' })).rejects.toThrow(
      ProviderMisconfiguredError,
    );
  });
});

function read(body: object) {
  return discover(ISSUER, async () => Response.json(body), 1_000);
}
