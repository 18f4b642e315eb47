import { defineEntity, p } from '@mikro-orm/core';

const GalaxySlotSchema = defineEntity({
  name: 'GalaxySlot',
  tableName: 'galaxy_slot',
  properties: {
    slot: p.integer().primary().autoincrement(false),
    takenAt: p.datetime(3).index('galaxy_slot_taken_at_index'),
  },
});

/** A slot of the budget: one request to Galaxy a minute. All processes share the rows. */
export class GalaxySlot extends GalaxySlotSchema.class {}
GalaxySlotSchema.setClass(GalaxySlot);
