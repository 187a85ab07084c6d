// The cookies that Chromium stores. The demo is reached by a host name, because cookies of an IP
// address are always limited to that host.

import assert from 'node:assert/strict';
import { test as testWithoutDemo } from 'node:test';

import { withProfile } from './support/browser.js';
import { Demo, freePort } from './support/demo.js';
import { withDemo } from './support/suite.js';
import { until } from './support/until.js';
import {
  ADA,
  GRACE,
  NO_OTHER_ACCOUNT,
  SIGNED_OUT,
  THIRTY_DAYS,
  UNTIL_CLOSED,
  Visitor,
} from './support/visitor.js';

const DAY = 24 * 3600;
const ACTIVE_COOKIE = '__Host-session.active';
/** The longest time between a sign-in and the reading of its cookies, in seconds. */
const SLACK = 120;

const HOST = 'accounts.localhost';
const withHostName = async (settings = {}) => {
  const port = await freePort();
  return { LISTEN: `127.0.0.1:${port}`, SESSION_ORIGIN: `http://${HOST}:${port}`, ...settings };
};

/** The remaining lifetime of a cookie, in seconds. */
const remainingSeconds = ({ expires }) => expires - Date.now() / 1000;

function assertLifetime(cookie, days) {
  const seconds = remainingSeconds(cookie);
  assert.equal(cookie.session, false);
  assert.ok(
    days * DAY - SLACK < seconds && seconds <= days * DAY + 1,
    `${cookie.name} lasts ${seconds / DAY} days, not ${days}`,
  );
}

withDemo('cookies', await withHostName(), (test) => {
  test('are one for each account and one for the active account, sent to this host only', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    const ids = [await visitor.idOf(ADA), await visitor.idOf(GRACE)];

    const cookies = await visitor.cookies();
    const names = [ACTIVE_COOKIE, ...ids.map((id) => `__Host-session.${id}`)];
    assert.deepEqual(cookies.map(({ name }) => name).sort(), names.sort());
    for (const cookie of cookies) {
      const { httpOnly, secure, sameSite, domain, path } = cookie;
      assert.deepEqual(
        { httpOnly, secure, sameSite, domain, path },
        // A leading dot would include subdomains.
        { httpOnly: true, secure: true, sameSite: 'Lax', domain: HOST, path: '/' },
        cookie.name,
      );
      assertLifetime(cookie, cookie.name === ACTIVE_COOKIE ? 400 : 7);
    }
    assert.equal(cookies.find(({ name }) => name === ACTIVE_COOKIE).value, ids[1]);
    assert.equal(await page.evaluate(() => document.cookie), '');
  });

  test('are not sent to a subdomain', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    const subdomain = visitor.demo.url('/api/public').replace(HOST, `below.${HOST}`);
    const other = await visitor.open();
    const response = await other.goto(subdomain);
    assert.deepEqual(await response.json(), { signed_in: false });
    assert.equal((await response.request().allHeaders()).cookie, undefined);
    assert.deepEqual(await (await other.goto(visitor.demo.url('/api/public'))).json(), { signed_in: true });
  });

  test('last 30 days when the user selects “Keep me signed in”', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA, THIRTY_DAYS);
    const [cookie] = (await visitor.cookies()).filter(({ name }) => name !== ACTIVE_COOKIE);
    assertLifetime(cookie, 30);
  });

  test('are removed on sign-out, except that the active cookie becomes “none”', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    await page.getByRole('button', { name: `Sign out of ${ADA.name}` }).click();
    await page.getByText(NO_OTHER_ACCOUNT).waitFor();
    assert.equal((await visitor.cookies()).length, 2);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, '/', SIGNED_OUT);
    const remaining = (await visitor.cookies()).map(({ name, value }) => `${name}=${value}`);
    assert.deepEqual(remaining, [`${ACTIVE_COOKIE}=none`]);
  });
});

const long = { SESSION_INACTIVITY_TIMEOUT: '500d', SESSION_MAXIMUM_LIFETIME: '500d' };
withDemo('cookies, with sessions of 500 days', await withHostName(long), (test) => {
  test('last 400 days', async (visitor) => {
    const page = await visitor.open();
    const [response] = await Promise.all([
      page.waitForResponse((one) => one.request().method() === 'POST'),
      visitor.signIn(page, ADA),
    ]);
    const cookies = await visitor.cookies();
    assert.equal(cookies.length, 2);
    for (const cookie of cookies) assertLifetime(cookie, 400);
    // Chromium caps the lifetime itself; other browsers may not.
    const lines = await response.headerValues('set-cookie');
    assert.equal(lines.length, 2);
    for (const line of lines) assert.match(line, /; Max-Age=34560000$/);
  });
});

const often = { SESSION_RENEW_AFTER: '1s', SESSION_MAXIMUM_LIFETIME: '30d' };
withDemo('cookies, with renewals each second', await withHostName(often), (test) => {
  const sessionCookie = async (visitor) => {
    const [cookie] = (await visitor.cookies()).filter(({ name }) => name !== ACTIVE_COOKIE);
    return cookie;
  };
  for (const [duration, session] of [[undefined, false], [UNTIL_CLOSED, true]]) {
    const choice = duration ? `with “${duration}”` : 'with no choice';
    test(`keep their attributes when renewed after a sign-in ${choice}`, async (visitor) => {
      const page = await visitor.open();
      await visitor.signIn(page, ADA, duration);
      const before = await sessionCookie(visitor);
      assert.equal(before.session, session);
      const renewed = await until('the cookie was renewed', async () => {
        await page.reload();
        const now = await sessionCookie(visitor);
        return now.value !== before.value && now;
      });
      const attributes = ({ value, expires, size, ...others }) => others;
      assert.deepEqual(attributes(renewed), attributes(before));
      if (!session) assert.ok(renewed.expires > before.expires);
    });
  }
});

testWithoutDemo('cookies kept until the browser closes are removed then', { timeout: 90_000 }, async () => {
  const demo = await Demo.start();
  try {
    await withProfile(async (open) => {
      let context = await open();
      let visitor = new Visitor(context, demo);
      const page = await visitor.open();
      await visitor.signIn(page, ADA);
      await visitor.signIn(page, GRACE, UNTIL_CLOSED);
      assert.equal((await visitor.sessions()).sessions.length, 2);
      // Chromium writes cookies to disk after some seconds, or when it is closed in the ordinary way.
      await context.close();

      context = await open();
      visitor = new Visitor(context, demo);
      const { active, sessions } = await visitor.sessions();
      assert.deepEqual(sessions.map(({ subject }) => subject), [ADA.user]);
      assert.equal(active, null, 'no other account becomes active');
    });
  } finally {
    await demo.stop();
  }
});
