import { readFile } from 'node:fs/promises';
import { createSchema, printPublicSchema } from '../../src/graphql/schema.js';

test('schema/schema.graphql is the schema that the server serves', async () => {
  expect(await readFile('schema/schema.graphql', 'utf8')).toBe(printPublicSchema(await createSchema()));
});
