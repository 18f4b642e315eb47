import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import type { Fault } from '../src/dev/instruments/faults.js';
import { compact, ecSigner, segment } from '../test/kit/forged-token.js';
import makeTemplates, { dropTemplate } from '../test/kit/templates.mjs';
import { startProcess } from '../test/kit/server.js';
import { startServers } from '../test/kit/servers.js';
import { createDataDirectory } from '../test/kit/test-database.js';

/**
 * What hostile input costs a server process with the default limits: milliseconds of a request, and megabytes while the
 * provider misbehaves or many different requests arrive. Exits with 1 beyond a limit. Megabytes are measured on Linux only.
 */
const MEGABYTE = 2 ** 20;
const TIMES = 20;
const results: { name: string; cost: string; limit: string; ok: boolean }[] = [];

await makeTemplates();
const all = await startServers(1);
all.rollup.switches.accessTokenLifetimeSeconds = 55; // inside the margin, so every renewal calls the provider
const dataDirectory = createDataDirectory();
const server = await startProcess({
  ...all.env,
  DATABASE_URL: '',
  DATA_DIR: dataDirectory,
  ROLLUP_TIMEOUT_MS: '3000',
});
const person = await all.linkPerson(undefined, server);
const attacker = ecSigner('attacker');
const pbes2 = { alg: 'PBES2-HS256+A128KW', enc: 'A128CBC-HS256', p2s: 'c2FsdHNhbHQ', p2c: 1e9 };
const padded = (pad: string): string => {
  const payload = JSON.stringify(decodeJwt(person.bearer)).replace('{', `{"pad":${pad},`);
  return compact(decodeProtectedHeader(person.bearer), payload, attacker.sign);
};
const bearers: [string, string][] = [
  ['forged, of 15 kB', padded(`"${'x'.repeat(10_800)}"`)],
  ['forged, nested 5 000 deep', padded('['.repeat(5_000) + ']'.repeat(5_000))],
  ['JWE PBES2 with a billion rounds', [pbes2, 'a', 'b', 'c', 'd'].map(segment).join('.')],
  ['of five segments', `${person.bearer}.e30.e30`],
];
const fragments = (count: number): string =>
  Array.from({ length: count }, (_, at) => `fragment F${at} on User { ...F${at + 1} ...F${at + 1} }`).join(
    ' ',
  );
const documents: [string, string, number][] = [
  ['one field 20 000 times', `{ me { ${'id '.repeat(20_000)} } }`, 100],
  ['490 unknown fields', `{ ${Array.from({ length: 490 }, (_, at) => `f${at}`).join(' ')} }`, 100],
  ['a fan-out of 2^30', `{ me { ...F0 } } ${fragments(30)} fragment F30 on User { id }`, 100],
  ['240 overlapping selections', `{ ${'me { id } '.repeat(240)} }`, 200],
];
for (const [name, bearer] of bearers) {
  await time(`bearer ${name}`, 50, () => server.ask('{ me { id } }', {}, { token: bearer }));
}
for (const [name, document, limit] of documents) {
  await time(`document ${name}`, limit, () => server.ask(document));
}
const json = { 'content-type': 'application/json' };
const bodies: [string, Fault][] = [
  ['a body of 200 MB', { body: Buffer.alloc(200 * MEGABYTE, ' '), headers: json }],
  [
    'a gzip bomb of 256 MB',
    {
      body: gzipSync(Buffer.alloc(256 * MEGABYTE, ' '), { level: 1 }),
      headers: { ...json, 'content-encoding': 'gzip' },
    },
  ],
];
for (const [name, fault] of bodies) {
  const { bearer } = await all.linkPerson(undefined, server);
  all.rollup.switches.faults.refresh.standing = fault;
  await weigh(`provider: ${name}`, 50, () => all.renew(server, bearer));
}
all.rollup.switches.faults.refresh.standing = undefined;
await soak(2_000);
await weigh('4 000 different requests', 60, () => soak(4_000));

console.table(results);
await server.close();
await all.close();
await dropTemplate();
rmSync(dataDirectory, { recursive: true });
if (results.some(({ ok }) => !ok)) process.exitCode = 1;

/** The median of some runs, after one to warm up. */
async function time(name: string, limitMs: number, send: () => Promise<unknown>): Promise<void> {
  const runs: number[] = [];
  for (let run = 0; run <= TIMES; run += 1) {
    const begun = performance.now();
    await send();
    if (run > 0) runs.push(performance.now() - begun);
  }
  const ms = runs.toSorted((one, other) => one - other)[TIMES / 2] ?? 0;
  results.push({ name, cost: `${ms.toFixed(1)} ms`, limit: `${limitMs} ms`, ok: ms <= limitMs });
}

/** By how much the resident memory of the server peaks above what it is before. */
async function weigh(name: string, limitMegabytes: number, act: () => Promise<unknown>): Promise<void> {
  if (process.platform !== 'linux') return;
  const proc = `/proc/${server.run.process.pid}`;
  const peak = (): number =>
    Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`${proc}/status`, 'utf8'))?.[1]) / 1_024;
  writeFileSync(`${proc}/clear_refs`, '5'); // the peak begins anew
  const before = peak();
  await act();
  const cost = peak() - before;
  results.push({
    name,
    cost: `${cost.toFixed(0)} MB`,
    limit: `${limitMegabytes} MB`,
    ok: cost <= limitMegabytes,
  });
}

/** Many requests, each unlike the others. */
async function soak(requests: number): Promise<void> {
  const { bearer } = person;
  for (let sent = 0; sent < requests; sent += 4) {
    await Promise.all([
      server.ask('{ me { id } }', {}, { token: bearer }),
      server.ask('{ me { id } }', {}, { token: `${bearer}${sent}` }),
      server.ask(`{ unknown${sent}${process.pid} }`),
      fetch(`${server.url}/nowhere/${sent}`).then((response) => response.text()),
    ]);
  }
}
