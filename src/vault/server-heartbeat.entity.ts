import { defineEntity, p } from '@mikro-orm/core';

const ServerHeartbeatSchema = defineEntity({
  name: 'ServerHeartbeat',
  tableName: 'server_heartbeat',
  properties: {
    id: p.uuid().primary(),
    /** Host and process id, for an operator to recognize. */
    server: p.text(),
    /** The kids of its ring, space-separated, in the order of the ring. */
    kids: p.text(),
    /** The issuer that its settings name; null of an earlier version. */
    issuer: p.text().nullable(),
    /** By the clock of the database. */
    seenAt: p.datetime(3).defaultRaw('clock_timestamp()'),
  },
});

/** A server that runs, or did until a moment ago, and the keys that it holds. */
export class ServerHeartbeat extends ServerHeartbeatSchema.class {}
ServerHeartbeatSchema.setClass(ServerHeartbeat);
