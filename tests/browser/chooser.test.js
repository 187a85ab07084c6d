// The page on which a person chooses an account, and the demo's own pages: for everybody, on every
// screen, with a keyboard alone.

import assert from 'node:assert/strict';

import { assertAccessible, assertFitsPhone, PHONE, tabToAndEnter, walk } from './support/checks.js';
import { withDemo } from './support/suite.js';
import { ADA, CHOOSER, GRACE, LINUS } from './support/visitor.js';

const as = ({ name, email }) => `Continue as ${name} ${email}`;
const out = ({ name, email }) => `Sign out of ${name}, ${email}`;
const ADD = 'Add another account';
const ALL = 'Sign out of all accounts';

withDemo('pages', {}, (test) => {
  for (const people of [[], [ADA], [ADA, GRACE, LINUS]]) {
    const count = `${people.length} signed in`;
    test(`are accessible and fit a phone, ${count}`, async (visitor) => {
      const page = await visitor.open();
      for (const person of people) await visitor.signIn(page, person);
      for (const path of ['/', '/sign-in', '/me', CHOOSER, '/nowhere']) {
        if (path === '/nowhere') visitor.expect(/nowhere.*status of 404/);
        await page.goto(visitor.demo.url(path));
        await assertAccessible(page);
        await assertFitsPhone(page);
      }
    });
  }

  test('are accessible and fit a phone in choose state', async (visitor) => {
    const page = await visitor.open();
    for (const person of [ADA, GRACE, LINUS]) await visitor.signIn(page, person);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, CHOOSER, 'Choose an account');
    for (const path of [CHOOSER, '/', '/sign-in']) {
      await page.goto(visitor.demo.url(path));
      await assertAccessible(page);
      await assertFitsPhone(page);
    }
  });

  test('the menu of accounts is accessible and fits a phone', async (visitor) => {
    const page = await visitor.open();
    for (const person of [ADA, GRACE, LINUS]) await visitor.signIn(page, person);
    await page.locator('summary').click();
    await page.getByRole('navigation').getByRole('button', { name: ADA.name }).waitFor();
    await assertAccessible(page);
    await assertFitsPhone(page);
  });
});

withDemo('the chooser', {}, (test) => {
  const policies = { javaScriptEnabled: false };

  test('has the style that its policy allows, and no script', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    const response = await page.goto(visitor.demo.url(CHOOSER));
    const policy = (await response.allHeaders())['content-security-policy'];
    assert.match(policy, /^default-src 'none'; style-src 'sha256-/);
    assert.ok(!policy.includes('unsafe'), policy);
    assert.equal(await page.locator('script').count(), 0);
    // A style that the policy blocked would leave the browser's own; the console told as well.
    const { display } = await page.locator('ul').evaluate((list) => getComputedStyle(list));
    assert.equal(display, 'grid');
  });

  test('works where there is no script', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    await page.goto(visitor.demo.url(CHOOSER));
    await page.getByRole('button', { name: `Continue as ${ADA.name}` }).click();
    await visitor.isAt(page, '/', 'Hello, Ada');
  }, policies);

  test('is read in order: each account, then more', async (visitor) => {
    for (const viewport of [PHONE, { width: 1280, height: 800 }]) {
      const page = await visitor.open();
      await page.setViewportSize(viewport);
      await visitor.signIn(page, ADA);
      await visitor.signIn(page, GRACE);
      await page.goto(visitor.demo.url(CHOOSER));
      const active = `${as(GRACE)} Active now`;
      assert.deepEqual(await walk(page), [active, out(GRACE), as(ADA), out(ADA), ADD, ALL]);
      await page.close();
    }
  });

  test('lets a keyboard sign one out, choose one, add one and sign out of all', async (visitor) => {
    const page = await visitor.open();
    for (const person of [ADA, GRACE, LINUS]) await visitor.signIn(page, person);
    await page.goto(visitor.demo.url(CHOOSER));

    await tabToAndEnter(page, out(GRACE));
    await page.getByText(GRACE.email).waitFor({ state: 'detached' });
    await visitor.isAt(page, CHOOSER, 'Choose an account');
    await tabToAndEnter(page, as(ADA));
    await visitor.isAt(page, '/', 'Hello, Ada');

    await page.goto(visitor.demo.url(CHOOSER));
    await tabToAndEnter(page, ADD);
    await visitor.isAt(page, '/sign-in', 'Sign in');
    await tabToAndEnter(page, 'Sign in');
    await visitor.isAt(page, '/me', GRACE.name);

    await page.goto(visitor.demo.url(CHOOSER));
    await tabToAndEnter(page, ALL);
    await visitor.isAt(page, '/', 'Nobody is signed in');
    await page.goto(visitor.demo.url(CHOOSER));
    await visitor.isAt(page, CHOOSER, 'Nobody is signed in');
    assert.deepEqual(await walk(page), ['Sign in']);
  });

  test('keeps where the person wanted to go', async (visitor) => {
    const page = await visitor.open();
    for (const person of [ADA, GRACE, LINUS]) await visitor.signIn(page, person);
    await page.goto(visitor.demo.url(`${CHOOSER}?redirect_url=%2Fme%3Ftab%3D3`));
    await page.getByRole('button', { name: out(GRACE) }).click();
    await page.getByText(GRACE.email).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: as(ADA) }).click();
    await visitor.isAt(page, '/me?tab=3', ADA.name);

    // Not where a stranger's link wants them to go.
    await page.goto(visitor.demo.url(`${CHOOSER}?redirect_url=http%3A%2F%2Flocalhost%3A1%2F`));
    await page.getByRole('button', { name: as(LINUS) }).click();
    await visitor.isAt(page, '/', 'Hello, Linus');
  });
});
