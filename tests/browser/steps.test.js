// A sign-in that takes one more step, and somebody who acts as somebody else.

import assert from 'node:assert/strict';

import { withDemo } from './support/suite.js';
import { ADA, GRACE, LINUS, MARGARET } from './support/visitor.js';

const STEP = '/sign-in/second-factor';

withDemo('steps', {}, (test) => {
  test('a second factor: a wrong code, the code, another session', async (visitor) => {
    const page = await visitor.open();
    await page.goto(visitor.demo.url('/me'));
    await visitor.fillIn(page, MARGARET);
    await visitor.isAt(page, `${STEP}?redirect_url=%2Fme`, 'One more step');
    const { active, sessions } = await visitor.sessions();
    assert.equal(sessions[0].status, 'pending');
    assert.equal(await visitor.lookAt(page, '/'), '/: One more step');
    assert.equal(await visitor.lookAt(page, '/me'), `${STEP}?redirect_url=%2Fme: One more step`);

    visitor.expect(/422/);
    await page.getByLabel('Code').fill('000000');
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByRole('alert').getByText('That is not the code.').waitFor();
    await page.getByLabel('Code').fill('314159');
    await page.getByRole('button', { name: 'Go on' }).click();
    await visitor.isAt(page, '/me', MARGARET.name);
    assert.notEqual((await visitor.sessions()).active, active);
  });

  test('a second factor that is cancelled signs nobody in', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, GRACE);
    await page.goto(visitor.demo.url('/sign-in'));
    await visitor.fillIn(page, MARGARET);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await visitor.isAt(page, '/sign-in/choose', 'Choose an account');
    assert.deepEqual(await visitor.offered(page), [GRACE.name]);
  });

  test('acting as somebody else shows on every page, and ends where it began', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    const own = (await visitor.sessions()).active;
    await page.getByRole('link', { name: 'Help somebody' }).click();
    await page.getByLabel('Act as').selectOption(LINUS.name);
    await page.getByRole('button', { name: 'Begin' }).click();
    await visitor.isAt(page, '/me', LINUS.name);
    for (const path of ['/me', '/', '/nowhere']) {
      visitor.expect(/404/);
      await page.goto(visitor.demo.url(path));
      await page.getByText('You act as Linus Torvalds; you are ada.').waitFor();
    }
    await page.getByRole('button', { name: 'Stop' }).click();
    await visitor.isAt(page, '/me', ADA.name);
    const { active, sessions } = await visitor.sessions();
    assert.deepEqual([active, sessions.length], [own, 1]);
  });
});
