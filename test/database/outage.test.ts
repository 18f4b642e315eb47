import { isDatabaseOutage } from '../../src/database/outage.js';

const error = (properties: object, message = ''): Error => Object.assign(new Error(message), properties);

test.each<[string, unknown]>([
  ['EAI_AGAIN', error({ code: 'EAI_AGAIN', syscall: 'getaddrinfo' })],
  ['ENETUNREACH', error({ code: 'ENETUNREACH', syscall: 'connect' })],
  ['EHOSTDOWN', error({ code: 'EHOSTDOWN' })],
  ['a Unix socket that is not there', error({ code: 'ENOENT', syscall: 'connect' })],
  ['several addresses', new AggregateError([error({ code: 'ECONNREFUSED' })])],
  [
    'a reset during the handshake of TLS',
    error({ code: 'ECONNRESET' }, 'Client network socket disconnected'),
  ],
  ['a certificate', error({ code: 'CERT_HAS_EXPIRED' })],
  ['a cause', error({ cause: error({ code: '57P01' }) })],
  ...['08006', '25006', '28P01', '3D000', '40001', '40P01', '53300', '55P03', '57014', '57P03', '58030'].map(
    (code): [string, unknown] => [code, error({ code })],
  ),
])('VLT-67 %s is an outage', (_title, fault) => {
  expect(isDatabaseOutage(fault)).toBe(true);
});

test.each<[string, unknown]>([
  ['a unique violation', error({ code: '23505' })],
  ['a table that is not there', error({ code: '42P01' })],
  ['a file that is not there', error({ code: 'ENOENT', syscall: 'open' })],
  ['a mistake of ours', new TypeError('undefined is not a function')],
  ['no error', 'text'],
])('%s is none', (_title, fault) => {
  expect(isDatabaseOutage(fault)).toBe(false);
});
