// Sessions that are bound to a key of the device, behind TLS and in a Chromium that binds them. The key is
// in the memory of the browser, because most machines that run tests have no security chip.

import assert from 'node:assert/strict';
import { after, describe, test as testWithoutSite } from 'node:test';

import { deviceBound, launch, withProfile } from './support/browser.js';
import { assertFitsPhone } from './support/checks.js';
import { Copy, NAVIGATION } from './support/copy.js';
import { Redis } from './support/redis.js';
import { BLANK, certificateFiles, Site } from './support/site.js';
import { withServer } from './support/suite.js';
import { until } from './support/until.js';
import { ADA, GRACE, LINUS, MARGARET, NO_OTHER_ACCOUNT, SIGNED_OUT, Visitor } from './support/visitor.js';

const REGISTER = '/session/bound/register';
const REFRESH = '/session/bound/refresh';
const CONFIRM = '/me/device';
const UNPROVEN = 'Your device could not be confirmed';
const NOT_SUPPORTED = 'This browser is not supported';
/** The shortest time that a proof can be valid, in seconds. */
const SHORTEST = 5;
/** The age of a proof that the demo renews at `CONFIRM`, in seconds. */
const MAX_AGE = 30;

const startSite = (settings) => Site.start('https', 'localhost', { SESSION_EVENTS: 'log', ...settings });

/** The demo behind TLS, with a Redis that can fail as `redis`. */
async function startWithRedis(settings) {
  const redis = await Redis.start();
  const site = await startSite({ SESSION_STORE: redis.url, ...settings });
  const stopSite = site.stop.bind(site);
  const stop = async () => {
    await stopSite();
    await redis.remove();
  };
  return Object.assign(site, { redis, stop });
}

let browser;

/** A group of tests in the one Chromium that binds sessions. */
function withBinding(name, start, define) {
  const open = async () => {
    browser ??= launch(deviceBound(certificateFiles().cert));
    const opened = await browser;
    return { newContext: (options) => opened.newContext(options), close: () => undefined };
  };
  withServer(name, start, define, open);
}

const isProof = ({ name }) => name.includes('.proof.');

/** The proof cookie of the session, if the browser has one that has not expired. */
async function proofOf(visitor, id) {
  return (await visitor.cookies()).find((cookie) => isProof(cookie) && cookie.name.endsWith(id));
}

/** Waits until the demo has printed the event. */
function printed(visitor, event) {
  return until(`the demo has printed “${event}”`, () => visitor.demo.output.split('\n').includes(event));
}

/** Signs in and waits until the browser has bound the session; returns the session's id. */
async function signInBound(visitor, page, account) {
  await visitor.signIn(page, account);
  return untilBound(visitor, account);
}

/** Waits until the browser has bound the session of the account, and returns the session's id. */
async function untilBound(visitor, account) {
  const id = await visitor.idOf(account);
  await until('the browser has a proof', () => proofOf(visitor, id));
  await printed(visitor, `event device_bound session=${id} subject="${account.user}"`);
  return id;
}

/** Removes the proofs from the browser, as the browser does when they expire. */
function dropProofs(visitor) {
  return visitor.context.clearCookies({ name: /\.proof\./ });
}

/** Calls `work`, and returns the exchanges during the call, except for styles, which may be cached. */
async function exchangesOf(visitor, work) {
  const before = visitor.demo.exchanges.length;
  await work();
  return visitor.demo.exchanges.slice(before).filter(({ path }) => path !== '/style.css');
}

const isOffer = ({ received }) => 'secure-session-registration' in received;
const isRefresh = ({ path }) => path === REFRESH;
/** The session and the status of each refresh among the exchanges, without responses with a challenge. */
const refreshes = (exchanges) =>
  exchanges
    .filter((exchange) => isRefresh(exchange) && exchange.status !== 403)
    .map(({ sent, status }) => [sent['sec-secure-session-id'].replaceAll('"', ''), status]);
const line = ({ method, path, status }) => `${method} ${path} ${status}`;

/** What `/me` shows about the device. */
async function deviceAt(page) {
  const row = page.locator('dl div').filter({ hasText: 'Bound to this device' });
  return row.locator('dd').innerText();
}

// Most tests wait for a proof to expire, so some of them run at the same time, the longest first.
describe('device-bound sessions', { concurrency: 3 }, () => {
  after(async () => (await browser)?.close());

  withBinding('step-up by the device', () => startSite(), (test) => {
    test('renews an old proof by a redirect, without a script', async (visitor) => {
      const page = await visitor.open();
      const id = await signInBound(visitor, page, ADA);
      const signedAt = Date.now();
      const confirm = () =>
        exchangesOf(visitor, async () => {
          await page.getByRole('link', { name: 'Confirm this device' }).click();
          await page.waitForURL(visitor.demo.url('/me'));
        });
      await page.goto(visitor.demo.url('/me'));
      assert.deepEqual((await confirm()).map(line), [`GET ${CONFIRM} 303`, 'GET /me 200']);
      const before = await deviceAt(page);

      const isOld = () => Date.now() > signedAt + (MAX_AGE + 1) * 1000;
      await until('the proof is old', isOld, 2 * MAX_AGE * 1000);
      const exchanges = await confirm();
      assert.deepEqual(exchanges.map(line), [
        `GET ${CONFIRM} 307`,
        // The browser receives a new challenge and signs it.
        `POST ${REFRESH} 403`,
        `POST ${REFRESH} 204`,
        `GET ${CONFIRM} 303`,
        'GET /me 200',
      ]);
      assert.deepEqual(refreshes(exchanges), [[id, 204]]);
      assert.notEqual(await deviceAt(page), before);
    });
  });

  const short = { SESSION_BOUND_FOR: `${SHORTEST}s`, SESSION_MULTI: 'off' };
  // The token is due for renewal when the proof expires, so that the refresh needs the store.
  const due = { SESSION_RENEW_AFTER: '4s', ...short };
  withBinding('device-bound sessions in a store that fails', () => startWithRedis(due), (test) => {
    test('are kept, and recover with the store', async (visitor) => {
      // On a busy machine a store may miss its deadline.
      visitor.expect(/status of 50[03]/);
      const page = await visitor.open();
      await until('the store has kept a sign-in', async () => {
        await page.goto(visitor.demo.url('/sign-in'));
        const isAnswer = (response) => response.request().method() === 'POST';
        const [answer] = await Promise.all([page.waitForResponse(isAnswer), visitor.fillIn(page, ADA)]);
        return answer.status() === 303;
      }, 45_000);
      const id = await untilBound(visitor, ADA);
      await visitor.demo.redis.kill();
      await until('the proof has expired', async () => !(await proofOf(visitor, id)));
      visitor.expect(/status of 401/);
      const outage = await exchangesOf(visitor, () => page.goto(visitor.demo.url('/me')));
      await visitor.isAt(page, '/me', UNPROVEN);
      assert.deepEqual(outage.map(line), [`POST ${REFRESH} 503`, 'GET /me 401']);
      await printed(visitor, `event device_proof_skipped session=${id} reason=server_error`);

      const reload = page.waitForRequest(visitor.demo.url('/me'), { timeout: 30_000 });
      await Promise.all([reload, visitor.demo.redis.run()]);
      const isBack = async () => (await visitor.headingAt(page, '/me')) === `/me: ${ADA.name}`;
      await until('the session can be used again', isBack, 45_000);
      assert.equal(await visitor.idOf(ADA), id);
      await page.goto(visitor.demo.url('/devices'));
      await page.getByText('Bound to the device').waitFor();
    });
  });

  withBinding('a device-bound session', () => startSite(), (test) => {
    test('is bound by the browser after the sign-in', async (visitor) => {
      const page = await visitor.open();
      const exchanges = await exchangesOf(visitor, () => signInBound(visitor, page, ADA));
      assert.deepEqual(exchanges.filter(isOffer).map(line), ['POST /sign-in 303']);
      const registrations = exchanges.filter(({ path }) => path.startsWith(REGISTER));
      assert.deepEqual(registrations.map(({ status }) => status), [200]);
      await page.goto(visitor.demo.url('/me'));
      assert.match(await deviceAt(page), /^yes, confirmed /);
      await assertFitsPhone(page);
    });

    test('waits once for its proof when several requests are sent without it', async (visitor) => {
      const page = await visitor.open('/sign-in');
      await visitor.signIn(page, ADA);
      const id = await untilBound(visitor, ADA);
      await page.goto(visitor.demo.url(BLANK));
      await dropProofs(visitor);
      const exchanges = await exchangesOf(visitor, async () => {
        const statuses = await page.evaluate(() =>
          Promise.all([1, 2, 3].map(async () => (await fetch('/api/me')).status)),
        );
        assert.deepEqual(statuses, [200, 200, 200]);
      });
      assert.deepEqual(refreshes(exchanges), [[id, 204]]);
    });

    test('is forgotten by the browser after the sign-out', async (visitor) => {
      const page = await visitor.open('/sign-in');
      await visitor.signIn(page, ADA);
      const id = await untilBound(visitor, ADA);
      const exchanges = await exchangesOf(visitor, async () => {
        await page.getByRole('button', { name: 'Sign out', exact: true }).click();
        await visitor.isAt(page, '/', SIGNED_OUT);
        assert.deepEqual((await visitor.cookies()).filter(isProof), []);
        for (const path of ['/', '/sign-in', '/api/public']) await page.goto(visitor.demo.url(path));
      });
      assert.deepEqual(refreshes(exchanges), [[id, 401]]);
      assert.notEqual(await signInBound(visitor, page, ADA), id, 'a new session is bound again');
    });

    test('is bound when the second factor has activated it', async (visitor) => {
      const page = await visitor.open('/sign-in');
      const pending = await exchangesOf(visitor, async () => {
        await visitor.fillIn(page, MARGARET);
        await page.getByLabel('Code').fill('314159');
      });
      assert.ok(pending.length > 0 && !pending.some(isOffer));
      await page.getByRole('button', { name: 'Go on' }).click();
      await visitor.isAt(page, '/me', MARGARET.name);
      await untilBound(visitor, MARGARET);
    });

    test('is bound like others when a user impersonates another one', async (visitor) => {
      const page = await visitor.open();
      await signInBound(visitor, page, ADA);
      await page.goto(visitor.demo.url('/support'));
      await page.getByLabel('Act as').selectOption(LINUS.name);
      await page.getByRole('button', { name: 'Begin' }).click();
      await visitor.isAt(page, '/me', LINUS.name);
      await untilBound(visitor, LINUS);
    });

    test('is one of several, of which each has its own proof', async (visitor) => {
      const page = await visitor.open();
      const ids = [await signInBound(visitor, page, ADA), await signInBound(visitor, page, GRACE)];
      await dropProofs(visitor);
      const both = await exchangesOf(visitor, () => visitor.open('/me'));
      assert.deepEqual(refreshes(both).sort(), ids.map((id) => [id, 204]).sort());
      await visitor.switchTo(page, ADA);
      assert.match(await deviceAt(page), /^yes, confirmed /);

      const signOut = await exchangesOf(visitor, async () => {
        await page.getByRole('button', { name: `Sign out of ${GRACE.name}` }).click();
        await page.getByText(NO_OTHER_ACCOUNT).waitFor();
        await page.goto(visitor.demo.url('/me'));
      });
      assert.deepEqual(refreshes(signOut), [[ids[1], 401]]);
      await dropProofs(visitor);
      const after = await exchangesOf(visitor, () => page.goto(visitor.demo.url('/me')));
      assert.deepEqual(refreshes(after), [[ids[0], 204]]);
      await visitor.isAt(page, '/me', ADA.name);
      assert.match(await deviceAt(page), /^yes, confirmed /);
    });
  });

  withBinding('device-bound sessions with short proofs, one in a browser', () => startSite(short), (test) => {
    test('are renewed before a request that waits for the proof', async (visitor) => {
      const page = await visitor.open('/sign-in');
      await visitor.signIn(page, ADA);
      const id = await untilBound(visitor, ADA);
      const first = await proofOf(visitor, id);
      await until('the proof has expired', async () => !(await proofOf(visitor, id)));
      const exchanges = await exchangesOf(visitor, () => page.goto(visitor.demo.url('/me')));
      await visitor.isAt(page, '/me', ADA.name);
      // The browser may renew a proof that is about to expire once more.
      const pages = exchanges.filter((exchange) => !isRefresh(exchange));
      assert.deepEqual(pages.map(line), ['GET /me 200']);
      const renewals = exchanges.slice(0, exchanges.indexOf(pages[0])).filter(({ status }) => status === 204);
      const proofs = renewals.map(({ cookies }) => cookies[0].split(';')[0]);
      assert.ok(!proofs.includes(`${first.name}=${first.value}`));
      const sent = pages[0].sent.cookie.split('; ');
      assert.ok(proofs.some((proof) => sent.includes(proof)), 'the page was requested with a new proof');
    });

    test('are replaced by the next sign-in, whose session is bound', async (visitor) => {
      const page = await visitor.open();
      const first = await signInBound(visitor, page, ADA);
      const exchanges = await exchangesOf(visitor, async () => {
        const second = await signInBound(visitor, page, GRACE);
        const proofs = (await visitor.cookies()).filter(isProof);
        assert.deepEqual(proofs.map(({ name }) => name), [`__Host-session.proof.${second}`]);
        await page.goto(visitor.demo.url('/me'));
      });
      const ofFirst = refreshes(exchanges).filter(([id]) => id === first);
      assert.deepEqual(ofFirst.at(-1), [first, 401], 'the browser has forgotten the first session');
    });

    test('cannot be used with a copy of all cookies after the proof has expired', async (visitor) => {
      const page = await visitor.open('/sign-in');
      await visitor.signIn(page, ADA);
      const id = await untilBound(visitor, ADA);
      const cookies = await visitor.cookies();
      const copiedAt = Date.now();
      const copy = new Copy(visitor.demo, cookies);
      assert.equal((await copy.request('GET', '/api/me')).status, 200, 'the copy is complete');

      const refused = await until('the copy is refused', async () => {
        const sentAt = Date.now();
        const response = await copy.request('GET', '/api/me');
        if (response.status !== 200) return response;
        // Times in tokens are in whole seconds.
        assert.ok(sentAt <= copiedAt + (SHORTEST + 1) * 1000, 'the copy is used longer than bound_for');
        return undefined;
      });
      // The redirect removes the expired proof: a browser would renew it now.
      assert.deepEqual([refused.status, refused.headers.location], [307, '/api/me']);
      const rest = copy.without(isProof);
      const answers = [
        [await rest.request('GET', '/api/me'), 'device_unproven'],
        [await copy.request('POST', '/session/token'), 'device_unproven'],
        [await rest.request('GET', '/me', NAVIGATION), UNPROVEN],
      ];
      const refresh = (headers) => copy.request('POST', REFRESH, { 'sec-secure-session-id': id, ...headers });
      const challenged = await refresh({});
      assert.equal(challenged.status, 403);
      const [, challenge] = /^"([^"]+)"/.exec(challenged.headers['secure-session-challenge']);
      answers.push([await refresh({ 'secure-session-response': copy.sign(challenge) }), 'wrong_device']);
      for (const [{ status, headers, body }, reason] of answers) {
        assert.deepEqual([status, headers['set-cookie']], [401, undefined], reason);
        assert.ok(body.includes(reason), `${reason} in ${body}`);
      }

      await page.goto(visitor.demo.url('/me'));
      await visitor.isAt(page, '/me', ADA.name);
      assert.equal(await visitor.idOf(ADA), id);
      assert.match(await deviceAt(page), /^yes, confirmed /);
    });
  });

  const required = { SESSION_DEVICE_BOUND: 'required', SESSION_BINDING_TOLERANCE: '1s' };
  withBinding('a device-bound session, where it is required', () => startSite(required), (test) => {
    test('is served, and other browsers get a page that gives the reason', async (visitor) => {
      const page = await visitor.open();
      await signInBound(visitor, page, ADA);

      const other = await launch();
      try {
        const context = await other.newContext({ ignoreHTTPSErrors: true });
        const tab = await context.newPage();
        const stranger = new Visitor(context, visitor.demo);
        await tab.goto(visitor.demo.url('/sign-in'));
        await stranger.fillIn(tab, GRACE);
        // Within the tolerance, the browser may still bind the session.
        await until('the tolerance has passed', async () => {
          const response = await tab.goto(visitor.demo.url('/me'));
          return response.status() === 403;
        });
        await stranger.isAt(tab, '/me', NOT_SUPPORTED);
      } finally {
        await other.close();
      }
      await page.goto(visitor.demo.url('/me'));
      await visitor.isAt(page, '/me', ADA.name);
    });
  });

  testWithoutSite('a device-bound session is kept by a browser that was restarted', { timeout: 90_000 }, async () => {
    const site = await startSite();
    try {
      await withProfile(async (open) => {
        let context = await open();
        let visitor = new Visitor(context, site);
        const id = await signInBound(visitor, await visitor.open(), ADA);
        await context.close();

        context = await open();
        visitor = new Visitor(context, site);
        await dropProofs(visitor);
        const exchanges = await exchangesOf(visitor, () => visitor.open('/me'));
        assert.deepEqual(refreshes(exchanges), [[id, 204]]);
        assert.equal(await visitor.idOf(ADA), id);
      }, deviceBound(certificateFiles().cert));
    } finally {
      await site.stop();
    }
  });
});
