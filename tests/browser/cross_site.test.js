// Requests to the demo from pages of other sites and of other ports of its host.

import assert from 'node:assert/strict';

import { withOtherSite } from './support/other_site.js';
import { withDemo } from './support/suite.js';
import { ADA, GRACE } from './support/visitor.js';

const hosts = [
  // The cookies are SameSite=Lax, so this post has none.
  { from: 'another site', host: 'localhost', sendsCookies: false },
  // Ports are not part of a site: the post has the cookies and is rejected for its origin.
  { from: 'another port of this host', host: '127.0.0.1', sendsCookies: true },
];
const posts = [
  { action: 'sign out', path: '/sign-out', fields: () => ({}) },
  { action: 'sign out of all', path: '/sign-out', fields: () => ({ scope: 'browser' }) },
  { action: 'sign out of one', path: '/sign-out', fields: (session_id) => ({ session_id }) },
  { action: 'switch', path: '/session/switch', fields: (session_id) => ({ session_id }) },
  { action: 'sign in to another account', path: '/sign-in', fields: () => ({ user: 'linus' }) },
];

withDemo('a cross-site request', {}, (test) => {
  for (const { from, host, sendsCookies } of hosts) {
    test(`that is a post from ${from} changes nothing`, async (visitor) => {
      visitor.expect(/status of 40[0359]/);
      const page = await visitor.open();
      await visitor.signIn(page, ADA);
      await visitor.signIn(page, GRACE);
      const before = [await visitor.sessions(), await visitor.cookies()];
      assert.deepEqual([before[0].sessions.length, before[1].length], [2, 3]);

      await withOtherSite(async (address) => {
        for (const { action, path, fields } of posts) {
          const target = visitor.demo.url(path);
          await page.goto(address(host, target, fields(await visitor.idOf(ADA))));
          const [response] = await Promise.all([
            page.waitForResponse((response) => response.url() === target),
            page.getByRole('button', { name: 'Collect' }).click(),
          ]);
          const sent = await response.request().allHeaders();
          assert.equal(response.request().method(), 'POST');
          assert.equal(sent['cookie'] !== undefined, sendsCookies, `${action}: ${JSON.stringify(sent)}`);
          if (sendsCookies) assert.equal(response.status(), 403, action);
          await response.finished();

          assert.deepEqual([await visitor.sessions(), await visitor.cookies()], before, action);
          assert.equal(await visitor.headingAt(page, '/me'), `/me: ${GRACE.name}`, action);
        }
      });
    });
  }

  test('that is a link is rejected, because it is not a post', async (visitor) => {
    visitor.expect(/status of 405/);
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    const before = [await visitor.sessions(), await visitor.cookies()];
    const session_id = await visitor.idOf(ADA);
    await withOtherSite(async (address) => {
      for (const path of ['/sign-out', '/session/switch']) {
        await page.goto(address('localhost', visitor.demo.url(path), { session_id }));
        const [response] = await Promise.all([
          page.waitForResponse((response) => response.url().startsWith(visitor.demo.url(path))),
          page.getByRole('link', { name: 'Look' }).click(),
        ]);
        assert.equal(response.status(), 405, path);
        assert.deepEqual([await visitor.sessions(), await visitor.cookies()], before, path);
      }
    });
  });
});
