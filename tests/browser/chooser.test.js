// The account chooser and the demo's own pages: accessible, readable on small screens and usable with
// a keyboard alone.

import assert from 'node:assert/strict';

import { assertAccessible, assertFitsPhone, PHONE, tabToAndEnter, walk } from './support/checks.js';
import { withDemo } from './support/suite.js';
import { ADA, CHOOSER, GRACE, LINUS, SIGNED_OUT } from './support/visitor.js';

const continueAs = ({ name, email }) => `Continue as ${name} ${email}`;
const signOutOf = ({ name, email }) => `Sign out of ${name}, ${email}`;
const ADD_ACCOUNT = 'Add another account';
const SIGN_OUT_OF_ALL = 'Sign out of all accounts';

withDemo('pages', {}, (test) => {
  for (const accounts of [[], [ADA], [ADA, GRACE, LINUS]]) {
    const count = `${accounts.length} signed in`;
    test(`are accessible and fit a phone, ${count}`, async (visitor) => {
      const page = await visitor.open();
      for (const account of accounts) await visitor.signIn(page, account);
      for (const path of ['/', '/sign-in', '/me', CHOOSER, '/nowhere']) {
        if (path === '/nowhere') visitor.expect(/nowhere.*status of 404/);
        await page.goto(visitor.demo.url(path));
        await assertAccessible(page);
        await assertFitsPhone(page);
      }
    });
  }

  test('are accessible and fit a phone while no account is active', async (visitor) => {
    const page = await visitor.open();
    for (const account of [ADA, GRACE, LINUS]) await visitor.signIn(page, account);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, CHOOSER, 'Choose an account');
    for (const path of [CHOOSER, '/', '/sign-in']) {
      await page.goto(visitor.demo.url(path));
      await assertAccessible(page);
      await assertFitsPhone(page);
    }
  });

  test('are accessible and fit a phone with the account menu open', async (visitor) => {
    const page = await visitor.open();
    for (const account of [ADA, GRACE, LINUS]) await visitor.signIn(page, account);
    const menu = page.getByRole('navigation');
    await menu.getByRole('button', { name: LINUS.name }).click();
    await menu.getByRole('button', { name: `Switch to ${ADA.name}` }).waitFor();
    await assertAccessible(page);
    await assertFitsPhone(page);
  });
});

withDemo('the page of devices', { SESSION_STORE: 'memory' }, (test) => {
  test('is accessible, fits a phone and signs out another browser', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    const elsewhere = await fetch(visitor.demo.url('/sign-in'), {
      method: 'POST',
      redirect: 'manual',
      headers: { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' },
      body: new URLSearchParams({ user: ADA.user }),
    });
    assert.equal(elsewhere.status, 303);
    await page.getByRole('link', { name: 'See your devices' }).click();
    await visitor.isAt(page, '/devices', 'Your devices');
    await page.getByText('Chrome on Linux').waitFor();
    await assertAccessible(page);
    await assertFitsPhone(page);
    await page.getByRole('button', { name: 'End the session of Firefox on Linux' }).click();
    await page.getByRole('status').getByText('That session has ended.').waitFor();
    assert.equal(await page.getByText('Firefox on Linux').count(), 0);
    // The other pages of the demo with a form.
    for (const path of ['/support', '/confirm']) {
      await page.goto(visitor.demo.url(path));
      await assertAccessible(page);
      await assertFitsPhone(page);
    }
  });
});

withDemo('the pages in German', { SESSION_PAGE_LANGUAGE: 'de' }, (test) => {
  test('are accessible, fit a phone and have the colors of the site', async (visitor) => {
    visitor.expect(/status of 405/);
    const page = await visitor.open();
    for (const account of [ADA, GRACE]) await visitor.signIn(page, account);
    for (const [path, heading, primary] of [
      [CHOOSER, 'Konto auswählen', page.locator('.label').first()],
      ['/sign-out', 'Diese Adresse kann nicht geöffnet werden', page.getByRole('link')],
    ]) {
      await page.goto(visitor.demo.url(path));
      await visitor.isAt(page, path, heading);
      assert.equal(await page.title(), `${heading} · Accounts`);
      assert.equal(await page.locator('html').getAttribute('lang'), 'de');
      await assertAccessible(page);
      await assertFitsPhone(page);
      for (const [colorScheme, accent] of [['light', 'rgb(23, 99, 79)'], ['dark', 'rgb(127, 209, 181)']]) {
        await page.emulateMedia({ colorScheme });
        const { color, backgroundColor } = await primary.evaluate((one) => {
          const { color, backgroundColor } = getComputedStyle(one);
          return { color, backgroundColor };
        });
        assert.ok([color, backgroundColor].includes(accent), `${path} in ${colorScheme}: ${color}`);
      }
      await page.emulateMedia({ colorScheme: null });
    }
    // Actions that sign out are muted.
    await page.goto(visitor.demo.url(CHOOSER));
    for (const name of [/^Abmelden/, 'Von allen Konten abmelden']) {
      const color = await page
        .getByRole('button', { name })
        .first()
        .evaluate((button) => getComputedStyle(button).color);
      assert.equal(color, 'rgb(90, 99, 95)', `${name}`);
    }
  });
});

withDemo('the chooser', {}, (test) => {
  const withoutScripts = { javaScriptEnabled: false };

  test('applies its style under its content security policy and has no script', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    const response = await page.goto(visitor.demo.url(CHOOSER));
    const policy = (await response.allHeaders())['content-security-policy'];
    assert.match(policy, /^default-src 'none'; style-src 'sha256-/);
    assert.ok(!policy.includes('unsafe'), policy);
    assert.equal(await page.locator('script').count(), 0);
    // A blocked style would leave the browser's default, and an error on the console.
    const { display } = await page.locator('ul').evaluate((list) => getComputedStyle(list));
    assert.equal(display, 'grid');
  });

  test('works without JavaScript', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    await page.goto(visitor.demo.url(CHOOSER));
    await page.getByRole('button', { name: `Continue as ${ADA.name}` }).click();
    await visitor.isAt(page, '/', 'Hello, Ada');
  }, withoutScripts);

  test('is read in order: each account, then the other actions', async (visitor) => {
    for (const viewport of [PHONE, { width: 1280, height: 800 }]) {
      const page = await visitor.open();
      await page.setViewportSize(viewport);
      await visitor.signIn(page, ADA);
      await visitor.signIn(page, GRACE);
      await page.goto(visitor.demo.url(CHOOSER));
      const active = `${continueAs(GRACE)} Active now`;
      const accounts = [active, signOutOf(GRACE), continueAs(ADA), signOutOf(ADA)];
      assert.deepEqual(await walk(page), [...accounts, ADD_ACCOUNT, SIGN_OUT_OF_ALL]);
      await page.close();
    }
  });

  test('can be used with a keyboard alone', async (visitor) => {
    const page = await visitor.open();
    for (const account of [ADA, GRACE, LINUS]) await visitor.signIn(page, account);
    await page.goto(visitor.demo.url(CHOOSER));

    await tabToAndEnter(page, signOutOf(GRACE));
    await page.getByText(GRACE.email).waitFor({ state: 'detached' });
    await visitor.isAt(page, CHOOSER, 'Choose an account');
    await tabToAndEnter(page, continueAs(ADA));
    await visitor.isAt(page, '/', 'Hello, Ada');

    await page.goto(visitor.demo.url(CHOOSER));
    await tabToAndEnter(page, ADD_ACCOUNT);
    await visitor.isAt(page, '/sign-in', 'Sign in');
    await tabToAndEnter(page, 'Sign in');
    await visitor.isAt(page, '/me', GRACE.name);

    await page.goto(visitor.demo.url(CHOOSER));
    await tabToAndEnter(page, SIGN_OUT_OF_ALL);
    await visitor.isAt(page, '/', SIGNED_OUT);
    await page.goto(visitor.demo.url(CHOOSER));
    await visitor.isAt(page, CHOOSER, SIGNED_OUT);
    assert.deepEqual(await walk(page), ['Sign in']);
  });

  test('returns to the requested page, and to no other site', async (visitor) => {
    const page = await visitor.open();
    for (const account of [ADA, GRACE, LINUS]) await visitor.signIn(page, account);
    await page.goto(visitor.demo.url(`${CHOOSER}?redirect_url=%2Fme%3Ftab%3D3`));
    await page.getByRole('button', { name: signOutOf(GRACE) }).click();
    await page.getByText(GRACE.email).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: continueAs(ADA) }).click();
    await visitor.isAt(page, '/me?tab=3', ADA.name);

    // A link from another site cannot set the page to return to.
    await page.goto(visitor.demo.url(`${CHOOSER}?redirect_url=http%3A%2F%2Flocalhost%3A1%2F`));
    await page.getByRole('button', { name: continueAs(LINUS) }).click();
    await visitor.isAt(page, '/', 'Hello, Linus');
  });
});
