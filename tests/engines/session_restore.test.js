// Firefox with session restore, which keeps cookies that should last until the browser closes.

import assert from 'node:assert/strict';

import { ADA, GRACE } from '../browser/support/visitor.js';
import { Firefox } from './support/firefox.js';
import { withEngines } from './support/suite.js';

const ENGINES = [
  {
    Engine: Firefox,
    scheme: 'http',
    host: '127.0.0.1',
    name: 'Firefox with session restore',
    preferences: { 'browser.startup.page': 3 },
  },
];

withEngines(ENGINES, (test) => {
  test('a restart keeps all sessions, so that only their lifetime ends them', async (user, restart) => {
    const tab = await user.open('/');
    await user.signIn(tab, ADA);
    await user.signIn(tab, GRACE, 'hour');
    const before = await user.sessions();

    const after = await (await restart()).sessions();
    assert.deepEqual(after, before);
    const { signed_in_at, expires_at } = after.sessions.find(({ subject }) => subject === GRACE.user);
    assert.equal(expires_at - signed_in_at, 3600);
  });
});
