// A sign-in with a second factor.

import assert from 'node:assert/strict';

import { withDemo } from './support/suite.js';
import { CHOOSER, GRACE, MARGARET } from './support/visitor.js';

const SECOND_FACTOR = '/sign-in/second-factor';

withDemo('a second factor', {}, (test) => {
  test('keeps the session pending until the right code, which renews the session id', async (visitor) => {
    const page = await visitor.open();
    await page.goto(visitor.demo.url('/me'));
    await visitor.fillIn(page, MARGARET);
    await visitor.isAt(page, `${SECOND_FACTOR}?redirect_url=%2Fme`, 'One more step');
    const { active, sessions } = await visitor.sessions();
    assert.equal(sessions[0].status, 'pending');
    assert.equal(await visitor.headingAt(page, '/'), '/: One more step');
    assert.equal(await visitor.headingAt(page, '/me'), `${SECOND_FACTOR}?redirect_url=%2Fme: One more step`);

    visitor.expect(/422/);
    await page.getByLabel('Code').fill('000000');
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByRole('alert').getByText('That is not the code.').waitFor();
    await page.getByLabel('Code').fill('314159');
    await page.getByRole('button', { name: 'Go on' }).click();
    await visitor.isAt(page, '/me', MARGARET.name);
    assert.notEqual((await visitor.sessions()).active, active);
  });

  test('that is cancelled activates no account', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, GRACE);
    await page.goto(visitor.demo.url('/sign-in'));
    await visitor.fillIn(page, MARGARET);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await visitor.isAt(page, CHOOSER, 'Choose an account');
    assert.deepEqual(await visitor.offeredAccounts(page), [GRACE.name]);
  });
});
