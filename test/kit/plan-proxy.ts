import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { listen } from './network.js';
import type { Plan } from './plan-faults.js';

/** A statement that was carried out, and what each step of its plan did. */
export interface Explained {
  readonly statement: string;
  readonly plan: Plan;
}

/** A network between programs and a database that reads along. */
export interface PlanProxy {
  /** Leads through it, to sessions that report their plans. */
  readonly url: string;
  /** Of every session so far, also those of foreign keys. */
  readonly plans: readonly Explained[];
  close(): Promise<void>;
}

/** Every statement is reported to its own client, before the response (auto_explain, F.3 of PostgreSQL's manual). */
const SETTINGS = {
  session_preload_libraries: 'auto_explain',
  client_min_messages: 'notice',
  'auto_explain.log_min_duration': '0',
  'auto_explain.log_format': 'json',
  'auto_explain.log_level': 'notice',
  'auto_explain.log_nested_statements': 'on',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_buffers': 'on',
  'auto_explain.log_timing': 'off',
};

/** The type byte of a NoticeResponse, and that of its text (PostgreSQL protocol, Message Formats). */
const [NOTICE, TEXT] = ['N'.charCodeAt(0), 'M'.charCodeAt(0)];

/** Starts a proxy in front of a database on a server. The role has to be a superuser. */
export async function startPlanProxy(direct: string): Promise<PlanProxy> {
  const url = new URL(direct);
  const target = { host: url.hostname, port: Number(url.port || 5432) };
  const plans: Explained[] = [];
  const sockets = new Set<Socket>();
  const relay = createServer((client) => {
    const server = connect(target);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy()).on('close', () => sockets.delete(socket));
    }
    const read = readMessages((type, body) => {
      const plan = type === NOTICE ? parsePlan(body) : undefined;
      if (plan) plans.push(plan);
    });
    server.on('data', read);
    client.pipe(server).pipe(client);
  });
  url.host = `127.0.0.1:${await listen(relay)}`;
  const options = Object.entries(SETTINGS).map(([name, value]) => `-c ${name}=${value}`);
  // Whatever the database is reached by otherwise, what is encrypted cannot be read.
  url.search = `?sslmode=disable&options=${encodeURIComponent(options.join(' '))}`;
  return {
    url: url.href,
    plans,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      relay.close();
      await once(relay, 'close');
    },
  };
}

/** Cuts a stream into messages: a type, the length of what follows, and that. */
function readMessages(onMessage: (type: number, body: Buffer) => void): (bytes: Buffer) => void {
  let pending = Buffer.alloc(0);
  return (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    while (pending.length >= 5 && pending.length > pending.readUInt32BE(1)) {
      const end = 1 + pending.readUInt32BE(1);
      onMessage(pending.readUInt8(0), pending.subarray(5, end));
      pending = pending.subarray(end);
    }
  };
}

/** A notice is fields, each a type and a text that a zero byte ends. Undefined for one without a plan. */
function parsePlan(body: Buffer): Explained | undefined {
  const fields = body.toString().split('\0');
  const text = fields.find((field) => field.charCodeAt(0) === TEXT)?.slice(1) ?? '';
  if (!/^duration: [\d.]+ ms {2}plan:\n/.test(text)) return undefined;
  const explained = JSON.parse(text.slice(text.indexOf('{'))) as { 'Query Text': string; Plan: Plan };
  return { statement: explained['Query Text'], plan: explained.Plan };
}
