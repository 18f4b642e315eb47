import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.js';
import { pathOf } from './needs.js';
import { findFreePort } from './network.js';

/** Starts haproxy, a load balancer, in front of servers on these ports. It sends requests to those whose `/readyz` returns 200. */
export async function startHaproxy(ports: readonly number[]) {
  const home = await mkdtemp(join(tmpdir(), 'rollup-accounts-haproxy-'));
  const port = await findFreePort();
  const config = join(home, 'haproxy.cfg');
  await writeFile(config, settings(port, ports));
  const child = spawn(pathOf('haproxy') ?? 'haproxy', ['-db', '-q', '-f', config], { stdio: 'ignore' });
  const exited = new Promise((resolve) => child.once('close', resolve));
  const url = `http://127.0.0.1:${port}`;
  const close = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
    await rm(home, { recursive: true, force: true });
  };
  try {
    await Promise.race([
      eventually(() => fetch(url)),
      new Promise((_, reject) => child.once('error', reject)),
    ]);
  } catch (error) {
    await close();
    throw error;
  }
  return { url, close };
}

function settings(port: number, ports: readonly number[]): string {
  return [
    'defaults',
    '  mode http',
    '  timeout connect 2s',
    '  timeout client 30s',
    '  timeout server 30s',
    // Without it a check fails after the interval: on a busy machine four healthy servers would be down.
    '  timeout check 10s',
    '  option redispatch 1',
    'frontend public',
    `  bind 127.0.0.1:${port}`,
    '  default_backend servers',
    'backend servers',
    '  balance roundrobin',
    '  option httpchk GET /readyz',
    '  default-server check inter 200ms fall 2 rise 1',
    ...ports.map((at, index) => `  server s${index} 127.0.0.1:${at}`),
    '',
  ].join('\n');
}
