import { createSchema, printPublicSchema } from '../graphql/schema.js';

/** Prints the public schema as SDL. */
export async function schemaCommand(): Promise<void> {
  process.stdout.write(printPublicSchema(await createSchema()));
}
