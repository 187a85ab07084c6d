// Pages that Chromium fetches or renders ahead, by speculation rules.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Demo } from './support/demo.js';
import { withTabs } from './support/devtools.js';
import { until } from './support/until.js';
import { ADA, GRACE } from './support/visitor.js';

const TEST_MS = 90_000;

/** Sends a form from a script, so that the tab stays where it is. */
function post(tab, path, fields) {
  return tab.evaluate(
    async (path, fields) => {
      const response = await fetch(path, { method: 'POST', body: new URLSearchParams(fields) });
      if (!response.ok) throw new Error(`${response.status} ${response.url}`);
    },
    path,
    fields,
  );
}

const signIn = (tab, { user }) => post(tab, '/sign-in', { user });

/** The session of the account in this browser, as `GET /session` describes it. */
async function sessionOf(tab, { user }) {
  const { sessions } = await tab.evaluate(async () => (await fetch('/session')).json());
  return sessions.find(({ subject }) => subject === user);
}

/** Follows a link, and returns the heading of the page and whether it was fetched or rendered ahead. */
async function follow(tab, url) {
  await tab.follow(url);
  return tab.evaluate(() => {
    const { deliveryType, activationStart } = performance.getEntriesByType('navigation')[0];
    const isUsed = { Prefetch: deliveryType === 'navigational-prefetch', Prerender: activationStart > 0 };
    return { heading: document.querySelector('h1').textContent, isUsed };
  });
}

/** What changes the account, and the heading of `path` afterwards. */
const CHANGES = [
  {
    name: 'a sign-out',
    accounts: [ADA],
    path: '/me',
    change: (tab) => post(tab, '/sign-out', {}),
    heading: 'Sign in',
  },
  {
    name: 'a switch',
    accounts: [ADA, GRACE],
    path: '/me',
    change: async (tab) => post(tab, '/session/switch', { session_id: (await sessionOf(tab, ADA)).session_id }),
    heading: ADA.name,
  },
  {
    name: 'a sign-in',
    accounts: [],
    path: '/',
    change: (tab) => signIn(tab, ADA),
    heading: 'Hello, Ada',
  },
  {
    name: 'a sign-in to another account',
    accounts: [ADA],
    path: '/me',
    change: (tab) => signIn(tab, GRACE),
    heading: GRACE.name,
  },
];

/** Defines a test with a demo and a browser of its own. */
function define(name, run, settings = {}) {
  test(name, { timeout: TEST_MS }, async () => {
    const demo = await Demo.start(settings);
    try {
      await withTabs((open) => run(demo, open));
    } finally {
      await demo.stop();
    }
  });
}

for (const kind of ['Prefetch', 'Prerender']) {
  describe(kind, () => {
    // A control: without speculation, the tests below would always pass.
    define('the browser shows the page while the account stays the same', async (demo, open) => {
      const tab = await open(demo.url('/'));
      await signIn(tab, ADA);
      await tab.speculate(kind, demo.url('/me'));
      const { heading, isUsed } = await follow(tab, demo.url('/me'));
      assert.deepEqual([heading, isUsed[kind]], [ADA.name, true]);
    });

    for (const { name, accounts, path, change, heading } of CHANGES) {
      for (const where of ['in the same tab', 'in another tab']) {
        define(`the browser shows no page of before ${name} ${where}`, async (demo, open) => {
          // Chromium fetches nothing ahead for a tab in the background, so the last one is that of the page.
          const other = await open(demo.url('/'));
          const tab = await open(demo.url('/'));
          for (const account of accounts) await signIn(tab, account);
          await tab.speculate(kind, demo.url(path));
          await change(where === 'in another tab' ? other : tab);
          const shown = await follow(tab, demo.url(path));
          assert.deepEqual(shown, { heading, isUsed: { Prefetch: false, Prerender: false } });
        });
      }
    }

    const settings = { SESSION_RENEW_AFTER: '1s', SESSION_MAXIMUM_LIFETIME: '30d' };
    define('it renews the token and is no activity', async (demo, open) => {
      const tab = await open(demo.url('/'));
      await signIn(tab, ADA);
      const { expires_at } = await sessionOf(tab, ADA);
      const token = async () => (await tab.cookies()).find(({ value }) => value.includes('.')).value;
      const old = await token();
      const { iat } = JSON.parse(Buffer.from(old.split('.')[1], 'base64url'));
      await until('the token is due', () => Date.now() / 1000 > iat + 2);
      await tab.speculate(kind, demo.url('/me'));
      assert.notEqual(await token(), old, 'the token was renewed');
      assert.equal((await sessionOf(tab, ADA)).expires_at, expires_at);

      await until('a navigation is activity', async () => {
        await tab.follow(demo.url('/'));
        return (await sessionOf(tab, ADA)).expires_at > expires_at;
      });
    }, settings);
  });
}
