import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { openDatabase } from '../../dist/database/orm.js';

/**
 * Migrates one database that tests copy (`test-database.ts`), since migrating takes longer than copying: an embedded
 * one, and one on the server of `TEST_DATABASE_URL`. Jest runs it once before all tests.
 */
export default async function makeTemplates() {
  const dataDir = mkdtempSync(join(tmpdir(), 'rollup-accounts-template-'));
  process.once('exit', () => rmSync(dataDir, { recursive: true }));
  await migrate({ dataDir });
  process.env['EMBEDDED_TEMPLATE'] = dataDir;
  const server = process.env['TEST_DATABASE_URL'];
  if (!server) return;
  const name = `rollup_accounts_test_template_${randomBytes(6).toString('hex')}`;
  await administer(server, `create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  await migrate({ url: url.href, dataDir: '' });
  process.env['SERVER_TEMPLATE'] = name;
}

/** Jest runs it once after all tests. */
export async function dropTemplate() {
  const name = process.env['SERVER_TEMPLATE'];
  if (name) await administer(process.env['TEST_DATABASE_URL'], `drop database ${name} with (force)`);
}

async function migrate(settings) {
  const database = await openDatabase({ ...settings, poolMax: 2, timeoutMs: 5_000 });
  await database.migrate();
  await database.close();
}

async function administer(url, statement) {
  const database = await openDatabase({ url, dataDir: '', poolMax: 2, timeoutMs: 5_000 });
  await database.em.fork().execute(statement);
  await database.close();
}
