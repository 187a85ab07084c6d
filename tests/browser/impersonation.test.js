// A support user who acts as another user.

import assert from 'node:assert/strict';

import { withDemo } from './support/suite.js';
import { ADA, LINUS } from './support/visitor.js';

withDemo('impersonation', {}, (test) => {
  test('is shown on every page, and stopping it returns to the support user’s own session', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    const own = (await visitor.sessions()).active;
    await page.getByRole('link', { name: 'Act as another user' }).click();
    await page.getByLabel('Act as').selectOption(LINUS.name);
    await page.getByRole('button', { name: 'Begin' }).click();
    await visitor.isAt(page, '/me', LINUS.name);
    for (const path of ['/me', '/', '/nowhere']) {
      visitor.expect(/404/);
      await page.goto(visitor.demo.url(path));
      await page.getByText('You act as Linus Oakby; you are ada.').waitFor();
    }
    await page.getByRole('button', { name: 'Stop' }).click();
    await visitor.isAt(page, '/me', ADA.name);
    const { active, sessions } = await visitor.sessions();
    assert.deepEqual([active, sessions.length], [own, 1]);
  });
});
