import { defineEntity, p } from '@mikro-orm/core';

const GalaxySlotSchema = defineEntity({
  name: 'GalaxySlot',
  tableName: 'galaxy_slot',
  properties: {
    slot: p.integer().primary().autoincrement(false),
    takenAt: p.datetime(3),
  },
});

/** Room for one request to Galaxy a minute. There are as many as it allows, for all processes together. */
export class GalaxySlot extends GalaxySlotSchema.class {}
GalaxySlotSchema.setClass(GalaxySlot);
