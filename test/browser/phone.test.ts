import { rmSync } from 'node:fs';
import { decodeJwt } from 'jose';
import { createPerson, demoPeople } from '../../src/dev/rollup-id/people.js';
import { authorizationUrl, postToken } from '../dev/rollup-id/client.js';
import { useRollupId, useStarted } from '../kit/hooks.js';
import { needs } from '../kit/needs.js';
import { PHONE, usePhone } from '../kit/phone.js';
import { startProcess } from '../kit/server.js';
import { createDataDirectory } from '../kit/test-database.js';

const SCOPE = 'openid profile email connected_accounts erc_4337';
/** A finger needs this many CSS pixels. */
const FINGER = 44;

needs('chromium')('on a phone', () => {
  const phone = usePhone();

  /** Elements that reach out of the screen, or whose content reaches out of them. */
  const overflowing = (selector: string) =>
    phone().evaluate<string[]>(`[...document.querySelectorAll('${selector}')].filter((element) => {
      const { left, right } = element.getBoundingClientRect();
      const spills = element.scrollWidth > element.clientWidth + 1;
      return left < 0 || right > ${PHONE.width} || (spills && getComputedStyle(element).display !== 'inline');
    }).map((element) => element.outerHTML.slice(0, 100))`);

  /** Elements that are too small for a finger, or covered; the rest can be pressed. */
  async function unpressable(selector: string): Promise<string[]> {
    const found: string[] = [];
    const targets = await phone().locator(selector).all();
    expect(targets).not.toEqual([]);
    for (const target of targets) {
      // The checks of a tap without the tap: the element is visible, stands still and would be the one that is hit.
      await target.tap({ trial: true });
      const { height = 0, width = 0 } = (await target.boundingBox()) ?? {};
      if (Math.min(height, width) < FINGER) found.push(`${await target.innerText()}: ${width} × ${height}`);
    }
    return found;
  }

  describe('the pages of the embedded Rollup ID', () => {
    const long = 'x'.repeat(60);
    const longPerson = createPerson({ name: `N${long}`, email: `${long}@example.com` });
    const rollup = useRollupId({
      people: [...demoPeople(), longPerson],
      graphiqlUrl: 'http://127.0.0.1:4000/graphiql',
    });
    const consentUrl = () => authorizationUrl(rollup, { scope: SCOPE });

    test.each<[string, () => string]>([
      ['the consent page', consentUrl],
      ['the home page', () => rollup.url],
      ['the callback page', () => `${rollup.url}/app/callback?code=0x${'ab'.repeat(24)}&state=${long}`],
      ['the error page', () => authorizationUrl(rollup, { scope: long })],
    ])('%s fits', async (_what, url) => {
      await phone().goto(url());
      expect(await overflowing('html, body, body *')).toEqual([]);
    });

    test.each<[string, () => string]>([
      ['the consent page', consentUrl],
      ['the home page', () => rollup.url],
      ['the callback page', () => `${rollup.url}/app/callback?error=access_denied&state=1`],
    ])('everything on %s can be pressed', async (_what, url) => {
      await phone().goto(url());
      expect(await unpressable('a, button, label, textarea')).toEqual([]);
    });

    test('a person is chosen, a scope is taken back and the rest is allowed', async () => {
      await phone().goto(consentUrl());
      await phone().getByText('Tomás Lindqvist').tap();
      await phone().getByText('Read one email address').tap();
      await phone().getByRole('button', { name: 'Allow' }).tap();
      const callback = await phone().getByLabel('Callback URL').inputValue();
      const { body } = await postToken(rollup, { code: new URL(callback).searchParams.get('code') ?? '' });
      const { sub, scope } = decodeJwt(String(body['access_token']));
      expect(sub).toBe(rollup.people[1]?.sub);
      expect(scope).toBe(SCOPE.replace(' email', ''));
    });

    test('Cancel leads back', async () => {
      await phone().goto(consentUrl());
      await phone().getByRole('button', { name: 'Cancel' }).tap();
      const callback = await phone().getByLabel('Callback URL').inputValue();
      expect(callback).toBe(`${rollup.url}/app/callback?error=access_denied&state=state-1`);
    });
  });

  describe('GraphiQL', () => {
    const server = useStarted((closeToo) => {
      const dataDir = createDataDirectory();
      closeToo({ close: async () => rmSync(dataDir, { recursive: true }) });
      return startProcess({ PORT: '0', DATA_DIR: dataDir, SHUTDOWN_DELAY_MS: '0' });
    });

    test('is where the root leads, fits, and its buttons can be pressed', async () => {
      await phone().goto(server.url);
      const run = phone().getByRole('button', { name: /execute/i });
      await run.waitFor();
      const parts = 'html, body, .flow, .flow *, .graphiql-sidebar, .graphiql-response';
      expect(await overflowing(parts)).toEqual([]);
      expect(await unpressable('.flow a, .graphiql-sidebar button')).toEqual([]);
      const response = phone().waitForResponse((reply) =>
        /mutation StartLink/.test(reply.request().postData() ?? ''),
      );
      await run.tap();
      expect(await (await response).json()).toMatchObject({ data: { startRollupLink: { userErrors: [] } } });
    });
  });
});
