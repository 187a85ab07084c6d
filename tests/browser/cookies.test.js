// What Chromium really stored. The demo is reached by a name, because cookies of an IP address are
// for one host only whatever they say.

import assert from 'node:assert/strict';
import { test as plain } from 'node:test';

import { withProfile } from './support/browser.js';
import { Demo, freePort } from './support/demo.js';
import { until, withDemo } from './support/suite.js';
import { ADA, GRACE, THIRTY_DAYS, UNTIL_CLOSED, Visitor } from './support/visitor.js';

const DAY = 24 * 3600;
const POINTER = '__Host-session.active';
/** How long a test may take from a sign-in to a look at the cookies, in seconds. */
const SLACK = 120;

const HOST = 'accounts.localhost';
const named = async (settings = {}) => {
  const port = await freePort();
  return { LISTEN: `127.0.0.1:${port}`, SESSION_ORIGIN: `http://${HOST}:${port}`, ...settings };
};

/** How long the cookie is kept from now on, in seconds. */
const lasts = ({ expires }) => expires - Date.now() / 1000;

function assertLasts(cookie, days) {
  const seconds = lasts(cookie);
  assert.equal(cookie.session, false);
  assert.ok(
    days * DAY - SLACK < seconds && seconds <= days * DAY + 1,
    `${cookie.name} lasts ${seconds / DAY} days, not ${days}`,
  );
}

withDemo('cookies', await named(), (test) => {
  test('one for each account and one for which is active, out of reach for all others', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    const ids = [await visitor.idOf(ADA), await visitor.idOf(GRACE)];

    const cookies = await visitor.cookies();
    const names = [POINTER, ...ids.map((id) => `__Host-session.${id}`)];
    assert.deepEqual(cookies.map(({ name }) => name).sort(), names.sort());
    for (const cookie of cookies) {
      const { httpOnly, secure, sameSite, domain, path } = cookie;
      assert.deepEqual(
        { httpOnly, secure, sameSite, domain, path },
        // A leading dot would be for hosts below this one too.
        { httpOnly: true, secure: true, sameSite: 'Lax', domain: HOST, path: '/' },
        cookie.name,
      );
      assertLasts(cookie, cookie.name === POINTER ? 400 : 7);
    }
    assert.equal(cookies.find(({ name }) => name === POINTER).value, ids[1]);
    assert.equal(await page.evaluate(() => document.cookie), '');
  });

  test('a host below this one gets none', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    const below = visitor.demo.url('/api/public').replace(HOST, `below.${HOST}`);
    const other = await visitor.open();
    const response = await other.goto(below);
    assert.deepEqual(await response.json(), { signed_in: false });
    assert.equal((await response.request().allHeaders()).cookie, undefined);
    assert.deepEqual(await (await other.goto(visitor.demo.url('/api/public'))).json(), { signed_in: true });
  });

  test('“keep me signed in” is kept for 30 days', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA, THIRTY_DAYS);
    const [cookie] = (await visitor.cookies()).filter(({ name }) => name !== POINTER);
    assertLasts(cookie, 30);
  });

  test('signing out leaves none but the pointer, which names nobody', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    await page.getByRole('button', { name: `Sign out of ${ADA.name}` }).click();
    await page.getByText('Nobody else is signed in from this browser.').waitFor();
    assert.equal((await visitor.cookies()).length, 2);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, '/', 'Nobody is signed in');
    const left = (await visitor.cookies()).map(({ name, value }) => `${name}=${value}`);
    assert.deepEqual(left, [`${POINTER}=none`]);
  });
});

const long = { SESSION_INACTIVITY_TIMEOUT: '500d', SESSION_MAXIMUM_LIFETIME: '500d' };
withDemo('cookies of sessions of 500 days', await named(long), (test) => {
  test('are kept for 400 days', async (visitor) => {
    const page = await visitor.open();
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.request().method() === 'POST'),
      visitor.signIn(page, ADA),
    ]);
    const cookies = await visitor.cookies();
    assert.equal(cookies.length, 2);
    for (const cookie of cookies) assertLasts(cookie, 400);
    // Chromium would see to it by itself, others need not.
    const lines = await answer.headerValues('set-cookie');
    assert.equal(lines.length, 2);
    for (const line of lines) assert.match(line, /; Max-Age=34560000$/);
  });
});

const often = { SESSION_RENEW_AFTER: '1s', SESSION_MAXIMUM_LIFETIME: '30d' };
withDemo('cookies that are renewed each second', await named(often), (test) => {
  const ofAda = async (visitor) => {
    const [cookie] = (await visitor.cookies()).filter(({ name }) => name !== POINTER);
    return cookie;
  };
  for (const [how, session] of [[[], false], [[UNTIL_CLOSED], true]]) {
    test(`stay what they are: ${how[0] ?? 'the usual ones'}`, async (visitor) => {
      const page = await visitor.open();
      await visitor.signIn(page, ADA, ...how);
      const before = await ofAda(visitor);
      assert.equal(before.session, session);
      const renewed = await until('a renewal', async () => {
        await page.reload();
        const now = await ofAda(visitor);
        return now.value !== before.value && now;
      });
      const attributes = ({ value, expires, size, ...others }) => others;
      assert.deepEqual(attributes(renewed), attributes(before));
      if (!session) assert.ok(renewed.expires > before.expires);
    });
  }
});

plain('a browser that is closed forgets what was to be kept until then', { timeout: 90_000 }, async () => {
  const demo = await Demo.start();
  try {
    await withProfile(async (open) => {
      let context = await open();
      let visitor = new Visitor(context, demo);
      const page = await visitor.open();
      await visitor.signIn(page, ADA);
      await visitor.signIn(page, GRACE, UNTIL_CLOSED);
      assert.equal((await visitor.sessions()).sessions.length, 2);
      // Chromium writes cookies to its disk some seconds later, or when it is closed as people do it.
      await context.close();

      context = await open();
      visitor = new Visitor(context, demo);
      const { active, sessions } = await visitor.sessions();
      assert.deepEqual(sessions.map(({ subject }) => subject), [ADA.user]);
      assert.equal(active, null, 'nobody takes the place of who is gone');
    });
  } finally {
    await demo.stop();
  }
});
