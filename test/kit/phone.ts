import { type Browser, chromium, type Page } from 'playwright-core';
import { pathOf } from './needs.js';

/** The size of a phone in CSS pixels. */
export const PHONE = { width: 390, height: 844 };

/** No sandbox, which needs more privileges than a container has; and nothing that calls home. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Longer than a page takes to load on a busy machine. */
const LIMIT_MS = 90_000;

/** The Chromium of this machine as a phone: a page of its own for each test, without the cookies of the others. */
export function usePhone(): () => Page {
  let browser: Browser | undefined;
  let page: Page | undefined;
  beforeAll(async () => {
    const executablePath = pathOf('chromium') ?? 'chromium';
    // Headless, with a new profile.
    browser = await chromium.launch({ executablePath, args: FLAGS, timeout: LIMIT_MS });
  });
  afterAll(async () => browser?.close());
  beforeEach(async () => {
    page = await browser?.newPage({ viewport: PHONE, isMobile: true, hasTouch: true });
    page?.setDefaultTimeout(LIMIT_MS);
  });
  afterEach(async () => page?.close());
  return () => {
    if (!page) throw new Error('there is no page before the first test');
    return page;
  };
}
