// Several accounts in one browser: where every click leads.

import assert from 'node:assert/strict';

import { until, withDemo } from './support/suite.js';
import {
  ADA,
  BARBARA,
  CHOOSER,
  DONALD,
  EDSGER,
  GRACE,
  LINUS,
  THIRTY_DAYS,
} from './support/visitor.js';

const CHOOSE = 'Choose an account';

withDemo('accounts', {}, (test) => {
  test('sign in twice, switch, sign out, choose, sign out of all', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    assert.equal(await visitor.lookAt(page, '/'), '/: Hello, Grace');
    await visitor.switchTo(page, ADA);
    assert.equal(await visitor.lookAt(page, '/'), '/: Hello, Ada');

    // Nobody takes the place of who signed out.
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, CHOOSER, CHOOSE);
    assert.deepEqual(await visitor.offered(page), [GRACE.name]);
    assert.equal(await visitor.lookAt(page, '/'), '/: Choose an account');
    assert.equal((await visitor.sessions()).active, null);

    await page.goto(visitor.demo.url(CHOOSER));
    await page.getByRole('button', { name: `Continue as ${GRACE.name}` }).click();
    await visitor.isAt(page, '/', 'Hello, Grace');

    await visitor.signIn(page, ADA);
    await page.getByRole('main').getByRole('button', { name: 'Sign out of all' }).click();
    await visitor.isAt(page, '/', 'Nobody is signed in');
    assert.deepEqual(await visitor.sessions(), { active: null, sessions: [] });
    assert.match(await visitor.lookAt(page, '/me'), /^\/sign-in\?redirect_url=%2Fme: Sign in$/);
  });

  test('signing out the last account leads home', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, '/', 'Nobody is signed in');
  });

  test('signing out another account leaves the active one', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    await page.getByRole('button', { name: `Sign out of ${ADA.name}` }).click();
    await page.getByText('Nobody else is signed in from this browser.').waitFor();
    await visitor.isAt(page, '/me', GRACE.name);

    await visitor.signIn(page, LINUS);
    await page.goto(visitor.demo.url(CHOOSER));
    await page.getByRole('button', { name: `Sign out of ${GRACE.name}` }).click();
    await page.getByRole('button', { name: `Sign out of ${GRACE.name}` }).waitFor({ state: 'detached' });
    await visitor.isAt(page, CHOOSER, CHOOSE);
    assert.deepEqual(await visitor.offered(page), [LINUS.name]);
    assert.equal(await visitor.lookAt(page, '/me'), `/me: ${LINUS.name}`);
  });

  test('signing in again replaces the account’s session', async (visitor) => {
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

  test('a sixth account makes room for itself', async (visitor) => {
    const page = await visitor.open();
    const people = [ADA, GRACE, LINUS, BARBARA, EDSGER, DONALD];
    for (const person of people) await visitor.signIn(page, person);
    const { sessions } = await visitor.sessions();
    const subjects = sessions.map(({ subject }) => subject);
    assert.equal(subjects.length, 5);
    assert.ok(subjects.includes(DONALD.user));
  });

  test('a page that was left open switches to nobody who signed out', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    await visitor.signIn(page, LINUS);
    const old = await visitor.open('/me');
    await page.getByRole('button', { name: `Sign out of ${ADA.name}` }).click();
    await page.getByRole('button', { name: `Sign out of ${ADA.name}` }).waitFor({ state: 'detached' });

    await old.getByRole('main').getByRole('button', { name: `Switch to ${ADA.name}` }).click();
    await old.waitForURL((url) => url.pathname === CHOOSER);
    assert.deepEqual((await visitor.offered(old)).sort(), [GRACE.name, LINUS.name]);
    assert.equal(await visitor.lookAt(page, '/me'), `/me: ${LINUS.name}`);
  });

  test('a guard leads back to the page that was wanted', async (visitor) => {
    const page = await visitor.open('/me?tab=1');
    await visitor.fillIn(page, ADA);
    await visitor.isAt(page, '/me?tab=1', ADA.name);
  });

  test('the chooser leads back to the page that was wanted', async (visitor) => {
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

const elsewhere = {
  SESSION_AFTER_SIGN_OUT_URL: '/?left=all',
  SESSION_AFTER_MULTI_SESSION_SINGLE_SIGN_OUT_URL: '/?left=one',
};
withDemo('accounts, with other places to go', elsewhere, (test) => {
  test('signing out leads where the settings say', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, '/?left=one', CHOOSE);
    await page.getByRole('button', { name: 'Sign out of all' }).click();
    await visitor.isAt(page, '/?left=all', 'Nobody is signed in');
  });
});

withDemo('accounts that last two seconds', { SESSION_MAXIMUM_LIFETIME: '2s' }, (test) => {
  test('an account whose time is up is not offered, and nobody takes its place', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, GRACE, THIRTY_DAYS);
    await page.goto(visitor.demo.url('/sign-in'));
    const [signedIn] = await Promise.all([
      page.waitForResponse((response) => response.request().method() === 'POST'),
      visitor.fillIn(page, ADA),
    ]);
    assert.equal((await signedIn.headerValues('set-cookie')).length, 2);
    await page.waitForURL((url) => url.pathname !== '/sign-in');
    await until('Ada’s session to end', async () => {
      await page.goto(visitor.demo.url(CHOOSER));
      return !(await visitor.offered(page)).includes(ADA.name);
    });
    assert.deepEqual(await visitor.offered(page), [GRACE.name]);
    assert.match(await visitor.lookAt(page, '/me'), /^\/sign-in\/choose.*: Choose an account$/);
  });
});
