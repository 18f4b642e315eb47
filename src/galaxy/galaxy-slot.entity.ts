import { defineEntity, p } from '@mikro-orm/core';

const GalaxySlotSchema = defineEntity({
  name: 'GalaxySlot',
  tableName: 'galaxy_slot',
  properties: {
    slot: p.integer().primary().autoincrement(false),
    takenAt: p.datetime(3),
  },
});

/** One request to Galaxy per minute. There are as many rows as it allows, shared by all processes. */
export class GalaxySlot extends GalaxySlotSchema.class {}
GalaxySlotSchema.setClass(GalaxySlot);
