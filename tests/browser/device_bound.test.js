// Sessions that are bound to a key of the device, behind TLS and in a Chromium that binds them. Its key is
// in the memory of the browser, because most machines that run tests have no security chip.

import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { launchDeviceBound } from './support/browser.js';
import { Copy, NAVIGATION } from './support/copy.js';
import { certificateFiles, Site } from './support/site.js';
import { withServer } from './support/suite.js';
import { until } from './support/until.js';
import { ADA } from './support/visitor.js';

const REGISTER = '/session/bound/register';
const REFRESH = '/session/bound/refresh';
const UNPROVEN = 'Your device could not be confirmed';
/** The shortest time that a proof can be valid, in seconds. */
const SHORTEST = 5;

/** A group of tests of the demo behind TLS. */
function withBinding(name, settings, define) {
  const start = () => Site.start('https', 'localhost', { SESSION_EVENTS: 'log', ...settings });
  withServer(name, start, define, () => launchDeviceBound(certificateFiles().cert));
}

const isProof = ({ name }) => name.includes('.proof.');

/** The proof cookie of the session, if the browser has one that has not expired. */
async function proofOf(visitor, id) {
  return (await visitor.cookies()).find((cookie) => isProof(cookie) && cookie.name.endsWith(id));
}

/** Signs in, waits until the browser has bound the session, and returns the session's id. */
async function signInBound(visitor, page, account) {
  await visitor.signIn(page, account);
  const id = await visitor.idOf(account);
  await until('the browser has a proof', () => proofOf(visitor, id));
  assert.match(visitor.demo.output, new RegExp(`^event device_bound session=${id} subject="${account.user}"$`, 'm'));
  return id;
}

/** What `/me` says about the device. */
async function deviceAt(page) {
  const row = page.locator('dl div').filter({ hasText: 'Bound to this device' });
  return row.locator('dd').innerText();
}

describe('device-bound sessions', { concurrency: true }, () => {
  withBinding('a device-bound session', {}, (test) => {
    test('is bound by the browser after the sign-in', async (visitor) => {
      const page = await visitor.open();
      await signInBound(visitor, page, ADA);
      const signIn = visitor.demo.last('POST', '/sign-in');
      assert.equal(signIn.status, 303);
      const offers = visitor.demo.exchanges.filter(({ received }) => received['secure-session-registration']);
      assert.deepEqual(offers, [signIn]);
      const registrations = visitor.demo.exchanges.filter(({ path }) => path.startsWith(REGISTER));
      assert.deepEqual(registrations.map(({ status }) => status), [200]);
      await page.goto(visitor.demo.url('/me'));
      assert.match(await deviceAt(page), /^yes, confirmed /);
    });
  });

  withBinding('device-bound sessions with short proofs', { SESSION_BOUND_FOR: `${SHORTEST}s` }, (test) => {
    test('cannot be used with a copy of all cookies after the proof has expired', async (visitor) => {
      const page = await visitor.open();
      const id = await signInBound(visitor, page, ADA);
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
});
