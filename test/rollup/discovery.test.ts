import { ProviderMisconfiguredError, ProviderUnavailableError } from '../../src/errors.js';
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

  const required = ['authorization_endpoint', 'token_endpoint', 'userinfo_endpoint', 'jwks_uri'];
  test.each([...required, 'revocation_endpoint'])(
    'is rejected when its %s is of another origin, or no URL',
    async (name) => {
      for (const value of ['https://other.example/path', 'http://issuer.example/path', '/path']) {
        await expect(read({ ...document, [name]: value })).rejects.toThrow(ProviderMisconfiguredError);
      }
    },
  );

  test('is rejected when it is of another issuer', async () => {
    await expect(read({ ...document, issuer: 'https://other.example' })).rejects.toThrow(
      ProviderMisconfiguredError,
    );
  });

  test.each([...required, 'issuer'])(
    'VLT-80 is an outage when its %s is missing or no text',
    async (name) => {
      for (const value of [undefined, null, '', 7, {}]) {
        await expect(read({ ...document, [name]: value })).rejects.toThrow(ProviderUnavailableError);
      }
    },
  );

  test.each<[string, unknown]>([
    ['a message', { message: 'maintenance' }],
    ['no object', []],
    ['nothing', null],
    ['what names somebody and no keys', { issuer: 'a gateway' }],
  ])('VLT-80 is an outage when it is %s', async (_title, body) => {
    await expect(read(body)).rejects.toThrow(ProviderUnavailableError);
  });
});

function read(body: unknown) {
  return discover(ISSUER, async () => Response.json(body), 1_000);
}
