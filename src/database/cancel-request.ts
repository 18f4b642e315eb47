import { setTimeout as delay } from 'node:timers/promises';
import type { PgClient, PgConnection } from './pg-client.js';

/** Delays between attempts; the first ones while the connection is there, which a pooler looks for. */
const CANCEL_DELAYS_MS = [0, 100, 300, 1_000, 2_000, 4_000, 8_000, 16_000];
const CANCEL_TIMEOUT_MS = 5_000;

/**
 * Has the server end what a client executes. Tries again while the network is away: until then it goes on.
 *
 * @param newClient makes a client that is not connected yet, for its connection.
 */
export function cancelStatement(client: PgClient, newClient: () => PgClient, isOver: () => boolean): void {
  // It fails only in a process that is on its way out.
  deliverCancel(client, newClient, isOver).catch(() => undefined);
}

async function deliverCancel(
  client: PgClient,
  newClient: () => PgClient,
  isOver: () => boolean,
): Promise<void> {
  // A name may lead to another server the next time.
  const address = client.connection.stream.remoteAddress ?? client.host;
  for (const delayMs of CANCEL_DELAYS_MS) {
    await delay(delayMs, undefined, { ref: false });
    // It may go on in the server when its connection is dead.
    if (isOver() && !client.connection.stream.destroyed) return;
    if (await sendCancel(client, address, newClient().connection)) return;
  }
}

/** Resolves with true when it was sent; then the server has passed the signal on, and closed the connection. */
function sendCancel(client: PgClient, address: string, connection: PgConnection): Promise<boolean> {
  const { port, ssl, sslNegotiation, processID, secretKey } = client;
  return new Promise((resolve) => {
    let sent = false;
    const send = (): void => {
      connection.cancel(processID, secretKey);
      sent = true;
    };
    const fail = (): void => {
      sent = false;
      connection.stream.destroy();
    };
    const timer = setTimeout(fail, CANCEL_TIMEOUT_MS).unref();
    connection.on('error', fail);
    connection.once('end', () => {
      clearTimeout(timer);
      resolve(sent);
    });
    connection.once('sslconnect', () => connection.stream.once('secureConnect', send));
    connection.once('connect', () => {
      if (!ssl) send();
      else if (sslNegotiation !== 'direct') connection.requestSsl();
    });
    connection.connect(...(address.startsWith('/') ? [`${address}/.s.PGSQL.${port}`] : [port, address]));
  });
}
