// Several accounts in one browser: which page and which account each action leads to.

import assert from 'node:assert/strict';

import { assertAccessible, assertFitsPhone } from './support/checks.js';
import { withDemo } from './support/suite.js';
import { until } from './support/until.js';
import {
  ADA,
  BARBARA,
  CHOOSER,
  DONALD,
  EMIL,
  GRACE,
  LINUS,
  NO_OTHER_ACCOUNT,
  SIGNED_OUT,
  THIRTY_DAYS,
} from './support/visitor.js';

const CHOOSE = 'Choose an account';

withDemo('accounts', {}, (test) => {
  test('two accounts can be signed in, switched, signed out and chosen', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    assert.equal(await visitor.headingAt(page, '/'), '/: Hello, Grace');
    await visitor.switchTo(page, ADA);
    assert.equal(await visitor.headingAt(page, '/'), '/: Hello, Ada');

    // Signing out of the active account makes no other account active.
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, CHOOSER, CHOOSE);
    assert.deepEqual(await visitor.offeredAccounts(page), [GRACE.name]);
    assert.equal(await visitor.headingAt(page, '/'), '/: Choose an account');
    assert.equal((await visitor.sessions()).active, null);

    await page.goto(visitor.demo.url(CHOOSER));
    await page.getByRole('button', { name: `Continue as ${GRACE.name}` }).click();
    await visitor.isAt(page, '/', 'Hello, Grace');

    await visitor.signIn(page, ADA);
    await page.getByRole('main').getByRole('button', { name: 'Sign out of all' }).click();
    await visitor.isAt(page, '/', SIGNED_OUT);
    assert.deepEqual(await visitor.sessions(), { active: null, sessions: [] });
    assert.match(await visitor.headingAt(page, '/me'), /^\/sign-in\?redirect_url=%2Fme: Sign in$/);
  });

  test('signing out of the last account opens the home page', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, '/', SIGNED_OUT);
  });

  test('signing out of another account keeps the active one', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    await page.getByRole('button', { name: `Sign out of ${ADA.name}` }).click();
    await page.getByText(NO_OTHER_ACCOUNT).waitFor();
    await visitor.isAt(page, '/me', GRACE.name);

    await visitor.signIn(page, LINUS);
    await page.goto(visitor.demo.url(CHOOSER));
    await page.getByRole('button', { name: `Sign out of ${GRACE.name}` }).click();
    await page.getByRole('button', { name: `Sign out of ${GRACE.name}` }).waitFor({ state: 'detached' });
    await visitor.isAt(page, CHOOSER, CHOOSE);
    assert.deepEqual(await visitor.offeredAccounts(page), [LINUS.name]);
    assert.equal(await visitor.headingAt(page, '/me'), `/me: ${LINUS.name}`);
  });

  test('signing in to an account again replaces its session', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    const before = await visitor.idOf(ADA);
    await visitor.signIn(page, GRACE);
    await visitor.signIn(page, ADA);
    const { active, sessions } = await visitor.sessions();
    assert.equal(sessions.length, 2);
    assert.notEqual(active, before);
    assert.equal(active, await visitor.idOf(ADA));
  });

  test('the account menu opens and closes with the keyboard alone', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    const header = page.getByRole('navigation');
    const menu = header.getByRole('button', { name: GRACE.name });
    const other = header.getByRole('button', { name: `Switch to ${ADA.name}` });
    await menu.press('Enter');
    await other.waitFor();
    await page.keyboard.press('Escape');
    await other.waitFor({ state: 'hidden' });
    assert.ok(await menu.evaluate((button) => button === document.activeElement));
    await menu.press('Enter');
    // The link to the account page is first.
    for (let presses = 0; presses < 2; presses += 1) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await visitor.isAt(page, '/me', ADA.name);
    // A click beside the menu closes it too.
    await header.getByRole('button', { name: ADA.name }).click();
    await header.getByRole('button', { name: `Switch to ${GRACE.name}` }).waitFor();
    await page.mouse.click(5, 5);
    await header.getByRole('button', { name: `Switch to ${GRACE.name}` }).waitFor({ state: 'hidden' });
  });

  test('signing in to a sixth account removes one of the five others, and names it', async (visitor) => {
    const page = await visitor.open();
    for (const account of [ADA, GRACE, LINUS, BARBARA, EMIL]) await visitor.signIn(page, account);
    await page.goto(visitor.demo.url('/sign-in?redirect_url=%2Fme%3Ftab%3D2'));
    await visitor.fillIn(page, DONALD);
    await visitor.isAt(page, /\/sign-in\/made-room\?/, `${ADA.name} was signed out`);
    await assertAccessible(page);
    await assertFitsPhone(page);
    await page.getByRole('link', { name: 'Continue' }).click();
    await visitor.isAt(page, '/me?tab=2', DONALD.name);
    const { sessions } = await visitor.sessions();
    const subjects = sessions.map(({ subject }) => subject);
    assert.equal(subjects.length, 5);
    assert.ok(subjects.includes(DONALD.user));
  });

  test('switching to an account that has signed out in another tab opens the chooser', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    await visitor.signIn(page, LINUS);
    const old = await visitor.open('/me');
    await page.getByRole('button', { name: `Sign out of ${ADA.name}` }).click();
    await page.getByRole('button', { name: `Sign out of ${ADA.name}` }).waitFor({ state: 'detached' });

    await old.getByRole('main').getByRole('button', { name: `Switch to ${ADA.name}` }).click();
    await old.waitForURL((url) => url.pathname === CHOOSER);
    assert.deepEqual((await visitor.offeredAccounts(old)).sort(), [GRACE.name, LINUS.name]);
    assert.equal(await visitor.headingAt(page, '/me'), `/me: ${LINUS.name}`);
  });

  test('signing in returns to the page that required it', async (visitor) => {
    const page = await visitor.open('/me?tab=1');
    await visitor.fillIn(page, ADA);
    await visitor.isAt(page, '/me?tab=1', ADA.name);
  });

  test('choosing an account returns to the page that required it', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, CHOOSER, CHOOSE);

    await page.goto(visitor.demo.url('/me?tab=2'));
    await visitor.isAt(page, `${CHOOSER}?redirect_url=%2Fme%3Ftab%3D2`, CHOOSE);
    await page.getByRole('button', { name: `Continue as ${ADA.name}` }).click();
    await visitor.isAt(page, '/me?tab=2', ADA.name);
  });
});

const redirects = {
  SESSION_AFTER_SIGN_OUT_URL: '/?left=all',
  SESSION_AFTER_MULTI_SESSION_SINGLE_SIGN_OUT_URL: '/?left=one',
};
withDemo('accounts, with configured redirect URLs', redirects, (test) => {
  test('signing out opens the configured page', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, '/?left=one', CHOOSE);
    await page.getByRole('button', { name: 'Sign out of all' }).click();
    await visitor.isAt(page, '/?left=all', SIGNED_OUT);
  });
});

withDemo('accounts, with a maximum lifetime of two seconds', { SESSION_MAXIMUM_LIFETIME: '2s' }, (test) => {
  test('an expired account is not offered, and no other account becomes active', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, GRACE, THIRTY_DAYS);
    await page.goto(visitor.demo.url('/sign-in'));
    const [signedIn] = await Promise.all([
      page.waitForResponse((response) => response.request().method() === 'POST'),
      visitor.fillIn(page, ADA),
    ]);
    assert.equal((await signedIn.headerValues('set-cookie')).length, 2);
    await page.waitForURL((url) => url.pathname !== '/sign-in');
    await until('Ada’s session has expired', async () => {
      await page.goto(visitor.demo.url(CHOOSER));
      return !(await visitor.offeredAccounts(page)).includes(ADA.name);
    });
    assert.deepEqual(await visitor.offeredAccounts(page), [GRACE.name]);
    assert.match(await visitor.headingAt(page, '/me'), /^\/sign-in\/choose.*: Choose an account$/);
  });
});
