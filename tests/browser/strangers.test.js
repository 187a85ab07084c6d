// Pages of other sites, and of other ports of this host, that post to the demo.

import assert from 'node:assert/strict';

import { withStranger } from './support/stranger.js';
import { withDemo } from './support/suite.js';
import { ADA, GRACE } from './support/visitor.js';

const hosts = [
  // Cookies are SameSite=Lax, so this post comes without any.
  { from: 'another site', host: 'localhost', brings: false },
  // Ports are no part of a site: the cookies come along, and the post is refused for where it is from.
  { from: 'another port of this host', host: '127.0.0.1', brings: true },
];
const posts = [
  { what: 'sign out', path: '/sign-out', fields: () => ({}) },
  { what: 'sign out of all', path: '/sign-out', fields: () => ({ scope: 'browser' }) },
  { what: 'sign out of one', path: '/sign-out', fields: (session_id) => ({ session_id }) },
  { what: 'switch', path: '/session/switch', fields: (session_id) => ({ session_id }) },
  { what: 'sign in as somebody', path: '/sign-in', fields: () => ({ user: 'linus' }) },
];

withDemo('strangers', {}, (test) => {
  for (const { from, host, brings } of hosts) {
    test(`nothing that ${from} posts has an effect`, async (visitor) => {
      visitor.expect(/status of 40[0359]/);
      const page = await visitor.open();
      await visitor.signIn(page, ADA);
      await visitor.signIn(page, GRACE);
      const before = [await visitor.sessions(), await visitor.cookies()];
      assert.deepEqual([before[0].sessions.length, before[1].length], [2, 3]);

      await withStranger(async (address) => {
        for (const { what, path, fields } of posts) {
          const target = visitor.demo.url(path);
          await page.goto(address(host, target, fields(await visitor.idOf(ADA))));
          const [response] = await Promise.all([
            page.waitForResponse((response) => response.url() === target),
            page.getByRole('button', { name: 'Collect' }).click(),
          ]);
          const sent = await response.request().allHeaders();
          assert.equal(response.request().method(), 'POST');
          assert.equal(sent['cookie'] !== undefined, brings, `${what}: ${JSON.stringify(sent)}`);
          if (brings) assert.equal(response.status(), 403, what);
          await response.finished();

          assert.deepEqual([await visitor.sessions(), await visitor.cookies()], before, what);
          assert.equal(await visitor.lookAt(page, '/me'), `/me: ${GRACE.name}`, what);
        }
      });
    });
  }

  test('nor does a link of theirs, which is no post', async (visitor) => {
    visitor.expect(/status of 405/);
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    const before = [await visitor.sessions(), await visitor.cookies()];
    const session_id = await visitor.idOf(ADA);
    await withStranger(async (address) => {
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
