// Sessions in Firefox and WebKitGTK. Each engine has its own cookie jar, history and rules for headers.

import assert from 'node:assert/strict';

import { BLANK, serve } from '../browser/support/site.js';
import { until } from '../browser/support/until.js';
import { ADA, CHOOSER, GRACE, LINUS, SIGNED_OUT } from '../browser/support/visitor.js';
import { Firefox } from './support/firefox.js';
import { withEngines } from './support/suite.js';
import { WebKit } from './support/webkit.js';

const CHOOSE = 'Choose an account';
const ACTIVE_COOKIE = '__Host-session.active';
const DAY = 24 * 3600;
/** The longest time between a sign-in and the reading of its cookies, in seconds. */
const SLACK = 120;
const MAX_DAYS = 400;

const ENGINES = [
  { Engine: Firefox, scheme: 'http', host: '127.0.0.1' },
  // WebKit stores Secure cookies over TLS only.
  { Engine: WebKit, scheme: 'https', host: 'localhost' },
];

const remainingDays = ({ expiry }) => (expiry - Date.now() / 1000) / DAY;

function assertLifetime(cookie, days) {
  const remaining = remainingDays(cookie);
  const slack = SLACK / DAY;
  assert.ok(Math.abs(remaining - days) < slack, `${cookie.name} lasts ${remaining} days, not ${days}`);
}

function assertShowsNothingOf(account, { path, html }) {
  const text = html.replace(/<fieldset.*<\/fieldset>/s, '');
  for (const word of [account.name, account.name.split(' ')[0], account.email]) {
    assert.ok(!text.includes(word), `${path} shows ${word}`);
  }
}

/** Posts a form from the page that is shown. */
function post(tab, action, fields) {
  return tab.evaluate(
    (action, fields) => {
      const form = document.createElement('form');
      Object.assign(form, { method: 'post', action });
      for (const [name, value] of Object.entries(fields)) {
        form.append(Object.assign(document.createElement('input'), { type: 'hidden', name, value }));
      }
      document.body.append(form);
      form.submit();
    },
    action,
    fields,
  );
}

withEngines(ENGINES, (test, { Engine, scheme, host }) => {
  test('two accounts are signed in, switched, signed out and chosen', async (user) => {
    const tab = await user.open('/');
    await user.signIn(tab, ADA);
    await user.signIn(tab, GRACE);
    const { active, sessions } = await user.sessions();
    assert.deepEqual(sessions.map(({ subject }) => subject).sort(), [ADA.user, GRACE.user]);
    assert.equal(active, await user.idOf(GRACE));

    await user.click(tab, `Switch to ${ADA.name}`);
    await user.isAt(tab, '/me', ADA.name);
    await user.click(tab, 'Sign out');
    await user.isAt(tab, CHOOSER, CHOOSE);
    assert.equal((await user.sessions()).active, null, 'no other account becomes active');
    await user.goto(tab, '/me?tab=2');
    await user.isAt(tab, `${CHOOSER}?redirect_url=%2Fme%3Ftab%3D2`, CHOOSE);
    await user.click(tab, `Continue as ${GRACE.name}`);
    await user.isAt(tab, '/me?tab=2', GRACE.name);

    await user.signIn(tab, LINUS);
    await user.click(tab, 'Sign out of all');
    await user.isAt(tab, '/', SIGNED_OUT);
    assert.deepEqual(await user.sessions(), { active: null, sessions: [] });
  });

  test('the back button shows nothing of a signed-out account', async (user) => {
    const tab = await user.open('/');
    await user.signIn(tab, ADA);
    await user.goto(tab, '/');
    await user.isAt(tab, '/', 'Hello, Ada');
    await user.goto(tab, '/me');
    await user.click(tab, 'Sign out');
    await user.isAt(tab, '/', SIGNED_OUT);
    assertShowsNothingOf(ADA, await user.back(tab, '/sign-in?redirect_url=%2Fme'));
    const home = await user.back(tab, '/');
    assertShowsNothingOf(ADA, home);
    assert.equal(home.heading, SIGNED_OUT);
  });

  // A control: without this cache, the test of the back button would always pass.
  test('a page of nothing private is restored from the back/forward cache', async (user) => {
    const pages = await serve(scheme, (request, response) => {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(`<!doctype html><link rel="icon" href="data:,"><h1>${request.url}</h1>`);
    });
    try {
      const tab = await user.browser.open(`${pages.origin(host)}/one`);
      await tab.evaluate(() => {
        window.isThePageThatWasLeft = true;
      });
      await tab.navigate(`${pages.origin(host)}/two`);
      await user.back(tab, '/one');
      assert.equal(await tab.evaluate(() => window.isThePageThatWasLeft), true);
    } finally {
      pages.close();
    }
  });

  test('cookies have their attributes, and survive renewals', async (user) => {
    const tab = await user.open('/');
    await user.signIn(tab, ADA);
    const names = [`__Host-session.${await user.idOf(ADA)}`, ACTIVE_COOKIE];
    const read = async () => (await tab.cookies()).sort((one, other) => other.name.length - one.name.length);
    const cookies = await read();
    assert.deepEqual(cookies.map(({ name }) => name), names);
    for (const cookie of cookies) {
      const { httpOnly, secure, sameSite, domain, path } = cookie;
      assert.deepEqual(
        { httpOnly, secure, sameSite, domain, path },
        { httpOnly: true, secure: true, sameSite: 'lax', domain: host, path: '/' },
      );
    }
    assertLifetime(cookies[0], 7);
    assertLifetime(cookies[1], MAX_DAYS);
    assert.equal(await tab.evaluate(() => document.cookie), '', 'scripts can read no cookie');

    const isRenewed = async () => (await read())[0].value !== cookies[0].value;
    await until('a navigation renewed the cookie', async () => {
      await user.goto(tab, '/me');
      return isRenewed();
    });
    cookies[0] = (await read())[0];
    await user.goto(tab, BLANK);
    await until('a request of a script renewed the cookie', async () => {
      await user.fetch(tab, '/api/me');
      return isRenewed();
    });
  }, { SESSION_RENEW_AFTER: '1s' });

  const long = { SESSION_INACTIVITY_TIMEOUT: 'off', SESSION_MAXIMUM_LIFETIME: '1000d' };
  test('cookies of longer sessions last 400 days', async (user) => {
    const tab = await user.open('/');
    await user.signIn(tab, ADA);
    const { cookies: lines } = user.site.last('POST', '/sign-in');
    assert.equal(lines.length, 2);
    for (const line of lines) assert.match(line, /; Max-Age=34560000$/);
    const cookies = await tab.cookies();
    assert.equal(cookies.length, 2);
    for (const cookie of cookies) assertLifetime(cookie, MAX_DAYS);

    // WebKitGTK does not limit the lifetime itself: there, the limit is the layer's.
    await tab.evaluate(() => {
      document.cookie = `long=1; Path=/; Max-Age=${1000 * 24 * 3600}`;
    });
    const all = await tab.cookies();
    assertLifetime(all.find(({ name }) => name === 'long'), Engine === WebKit ? 1000 : MAX_DAYS);
  }, long);

  test('forms of other sites and of other ports change nothing', async (user) => {
    const page = (request, response) => {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end('<!doctype html><link rel="icon" href="data:,"><h1>You won</h1>');
    };
    const [strangers, plain] = await Promise.all([serve(scheme, page), serve('http', page)]);
    try {
      const tab = await user.open('/');
      await user.signIn(tab, ADA);
      await user.signIn(tab, GRACE);
      const session_id = await user.idOf(ADA);
      const state = async () => [await user.sessions(), (await tab.cookies()).map(({ name }) => name)];
      await user.goto(tab, BLANK);
      const before = await state();

      const otherHost = host === 'localhost' ? '127.0.0.1' : 'localhost';
      for (const [from, sendsCookies] of [
        [strangers.origin(otherHost), false],
        [strangers.origin(host), true],
        // The same host over plain HTTP, where the site has TLS.
        [plain.origin(host), true],
      ]) {
        for (const [path, fields] of [
          ['/sign-out', { scope: 'browser' }],
          ['/session/switch', { session_id }],
          ['/sign-in', { user: LINUS.user }],
        ]) {
          await tab.navigate(from);
          const count = user.site.exchanges.length;
          await post(tab, user.site.url(path), fields);
          const exchange = await until('the form arrived', () =>
            user.site.exchanges.slice(count).find(({ method }) => method === 'POST'),
          );
          const description = `${path} from ${from}: ${JSON.stringify(exchange)}`;
          assert.equal(exchange.sent.cookie !== undefined, sendsCookies, description);
          assert.equal(exchange.status, 403, description);
          await user.goto(tab, BLANK);
          assert.deepEqual(await state(), before, description);
        }
      }
    } finally {
      strangers.close();
      plain.close();
    }
  });

  test('forms of a page without referrers are accepted by Fetch Metadata only', async (user) => {
    const tab = await user.open('/');
    await user.signIn(tab, ADA);
    for (const [strips, status] of [[true, 403], [false, 303]]) {
      user.site.stripsFetchMetadata = strips;
      await user.goto(tab, `${BLANK}?policy=no-referrer`);
      const count = user.site.exchanges.length;
      await post(tab, '/sign-out', {});
      const { sent, ...exchange } = await until('the form arrived', () =>
        user.site.exchanges.slice(count).find(({ method }) => method === 'POST'),
      );
      assert.equal(sent.origin, 'null');
      assert.equal(sent['sec-fetch-site'], 'same-origin');
      assert.equal(exchange.status, status);
    }
    await user.isAt(tab, '/', SIGNED_OUT);
  });

  test('a restart keeps the sessions that are persistent', async (user, restart) => {
    const tab = await user.open('/');
    await user.signIn(tab, ADA);
    await user.signIn(tab, GRACE, 'hour');
    assert.equal((await user.sessions()).sessions.length, 2);

    const restarted = await restart();
    const { active, sessions } = await restarted.sessions();
    assert.deepEqual(sessions.map(({ subject }) => subject), [ADA.user]);
    assert.equal(active, null, 'no other account becomes active');
    const page = await restarted.open('/me');
    await restarted.click(page, `Continue as ${ADA.name}`);
    await restarted.isAt(page, '/me', ADA.name);
  });

  test('a tab keeps its account, and its stream ends with the session', async (user) => {
    const first = await user.open('/');
    await user.signIn(first, ADA);
    const session = { 'session-id': await user.idOf(ADA) };
    const second = await user.open('/');
    await user.signIn(second, GRACE);
    await user.goto(first, BLANK);
    const subject = async (headers) => {
      const { status, body } = await user.fetch(first, '/api/me', headers);
      return status === 200 ? body.subject : status;
    };
    assert.equal(await subject(session), ADA.user);
    assert.equal(await subject({}), GRACE.user);

    await user.click(second, `Switch to ${ADA.name}`);
    await user.isAt(second, '/me', ADA.name);
    await first.evaluate(() => {
      window.events = [];
      const stream = new EventSource('/api/stream');
      for (const type of ['session', 'ended']) {
        stream.addEventListener(type, () => {
          window.events.push(type);
          if (type === 'ended') stream.close();
        });
      }
    });
    const events = () => first.evaluate(() => window.events.join());
    await until('the stream is open', async () => (await events()) === 'session');
    await user.click(second, 'Sign out');
    await user.isAt(second, CHOOSER, CHOOSE);
    await until('the stream has ended', async () => (await events()) === 'session,ended');
    assert.equal(await subject(session), 409, 'no other account takes the place of the tab’s');
  });
});
