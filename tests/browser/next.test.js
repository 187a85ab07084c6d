// The Next.js application: pages that a server rendered for one account are never shown under another.

import assert from 'node:assert/strict';

import { assertAccessible, assertFitsPhone } from './support/checks.js';
import { NextApp } from './support/next.js';
import { withServer } from './support/suite.js';
import { ADA, GRACE } from './support/visitor.js';

const NOTE = 'No other account may show this.';
const ROLES = new Map([
  [ADA, 'Role: analyst'],
  [GRACE, 'Role: auditor'],
]);

const menu = (page) => page.getByRole('menu');
const note = (page) => page.getByRole('textbox');

async function openMenu(page, account) {
  await page.getByRole('button', { name: `Account: ${account.name}` }).click();
  await menu(page).waitFor();
}

async function choose(page, role, name) {
  await menu(page).getByRole(role, { name, exact: true }).click();
}

/** Waits until the page shows `account`. */
async function waitForAccount(page, account) {
  await page.getByRole('heading', { level: 1, name: account.name, exact: true }).waitFor();
  await page.getByText(ROLES.get(account), { exact: true }).waitFor();
}

const isList = (request) => request.url().endsWith('/session');
const isHeartbeat = (request) => request.headers()['session-activity'] === 'user';

/** Signs in to the accounts and opens the page of the last one. */
async function signInAndOpen(visitor, ...accounts) {
  const page = await visitor.open();
  for (const account of accounts) await visitor.signIn(page, account);
  await page.goto(visitor.demo.url('/account'));
  await waitForAccount(page, accounts.at(-1));
  return page;
}

withServer('the Next.js application', () => NextApp.start(), (test) => {
  test(
    'is rendered by the server for the active account',
    async (visitor) => {
      const page = await visitor.open();
      assert.equal(await visitor.headingAt(page, '/'), '/: You are signed out');
      await page.getByRole('link', { name: 'Sign in' }).waitFor();
      assert.equal(await visitor.headingAt(page, '/account'), '/: You are signed out');
      for (const account of [ADA, GRACE]) {
        await visitor.signIn(page, account);
        assert.equal(await visitor.headingAt(page, '/'), `/: Hello, ${account.name}`);
        await page.getByRole('button', { name: `Account: ${account.name}` }).waitFor();
        await page.goto(visitor.demo.url('/account'));
        await waitForAccount(page, account);
      }
    },
    { javaScriptEnabled: false },
  );

  test('shows nothing of one account under another, however late the server renders', async (visitor) => {
    const page = await signInAndOpen(visitor, ADA, GRACE);
    await note(page).fill(NOTE);
    let release;
    const released = new Promise((resolve) => (release = resolve));
    const requested = new Promise((resolve) => {
      page.route(/[?&]_rsc=/, async (route) => {
        resolve();
        await released;
        await route.continue();
      });
    });
    await openMenu(page, GRACE);
    await choose(page, 'menuitemradio', `${ADA.name} ${ADA.email}`);
    await requested;
    await page.getByText('Loading…').waitFor();
    const html = await page.locator('body').evaluate((body) => body.innerHTML.replace(/<script.*?<\/script>/gs, ''));
    for (const text of [GRACE.name, ROLES.get(GRACE), NOTE]) assert.ok(!html.includes(text), text);
    release();
    await waitForAccount(page, ADA);
    assert.equal(await note(page).inputValue(), '');
    await page.getByRole('button', { name: `Account: ${ADA.name}` }).waitFor();
  });

  test('follows a switch and a sign-out in another tab', async (visitor) => {
    const page = await signInAndOpen(visitor, ADA, GRACE);
    const other = await visitor.open('/account');
    await waitForAccount(other, GRACE);
    await note(page).fill(NOTE);
    await openMenu(other, GRACE);
    await choose(other, 'menuitemradio', `${ADA.name} ${ADA.email}`);
    await waitForAccount(other, ADA);
    await waitForAccount(page, ADA);
    assert.equal(await note(page).inputValue(), '');

    await openMenu(other, ADA);
    await choose(other, 'menuitem', 'Sign out');
    for (const tab of [other, page]) await visitor.isAt(tab, '/', 'Choose an account');
  });

  test('opens the configured page after signing out of one account', async (visitor) => {
    const page = await signInAndOpen(visitor, ADA, GRACE);
    await openMenu(page, GRACE);
    await choose(page, 'menuitem', 'Sign out');
    await visitor.isAt(page, '/', 'Choose an account');
    assert.equal((await visitor.sessions()).active, null);

    await page.getByRole('main').getByRole('button', { name: `Continue as ${ADA.name}` }).click();
    await visitor.isAt(page, '/', `Hello, ${ADA.name}`);
    await page.getByRole('link', { name: 'Your account' }).click();
    await waitForAccount(page, ADA);
    await openMenu(page, ADA);
    await choose(page, 'menuitem', 'Sign out');
    await visitor.isAt(page, '/', 'You are signed out');
  });

  test('adds an account and signs out of all', async (visitor) => {
    const page = await signInAndOpen(visitor, ADA);
    await openMenu(page, ADA);
    await choose(page, 'menuitem', 'Add account');
    await visitor.fillIn(page, GRACE);
    await visitor.isAt(page, '/', `Hello, ${GRACE.name}`);
    await openMenu(page, GRACE);
    await choose(page, 'menuitem', 'Sign out of all accounts');
    await page.getByRole('heading', { level: 1, name: 'You are signed out' }).waitFor();
    assert.deepEqual(await visitor.sessions(), { active: null, sessions: [] });
  });

  test('reports that the user is active when they type', async (visitor) => {
    const page = await signInAndOpen(visitor, ADA);
    // The client has started when it sends its first request.
    const [first] = await Promise.all([page.waitForRequest(isList), page.reload()]);
    assert.ok(!isHeartbeat(first));
    const [second] = await Promise.all([page.waitForRequest(isList), note(page).press('a')]);
    assert.ok(isHeartbeat(second));
  });

  test('reports activity when a page that the browser fetched in advance is opened', async (visitor) => {
    const page = await signInAndOpen(visitor, ADA);
    await page.goto(visitor.demo.url('/'));
    await page.getByRole('heading', { level: 1, name: `Hello, ${ADA.name}` }).waitFor();
    const prefetched = new Promise((resolve) => {
      page.context().on('request', (request) => {
        if (request.headers()['sec-purpose']?.startsWith('prefetch')) resolve(request.response());
      });
    });
    await page.evaluate(() => {
      const rules = document.createElement('script');
      rules.type = 'speculationrules';
      rules.textContent = '{"prefetch": [{"source": "list", "urls": ["/account"], "eagerness": "immediate"}]}';
      document.head.append(rules);
    });
    const response = await prefetched;
    await response.finished();
    const [request] = await Promise.all([
      page.waitForRequest(isList),
      page.evaluate(() => location.assign('/account')),
    ]);
    await waitForAccount(page, ADA);
    const kind = await page.evaluate(() => performance.getEntriesByType('navigation')[0].deliveryType);
    assert.equal(kind, 'navigational-prefetch');
    assert.ok(isHeartbeat(request));
  });

  test('is accessible and fits a phone', async (visitor) => {
    const page = await signInAndOpen(visitor, ADA, GRACE);
    const assertUsable = async () => {
      await assertAccessible(page);
      await assertFitsPhone(page);
    };
    await assertUsable();
    await openMenu(page, GRACE);
    await assertUsable();
    await choose(page, 'menuitem', 'Sign out');
    await visitor.isAt(page, '/', 'Choose an account');
    await assertUsable();
  });
});
