// Several accounts in one browser: where every click leads.

import assert from 'node:assert/strict';

import { withDemo } from './support/suite.js';
import { ADA, CHOOSER, GRACE } from './support/visitor.js';

withDemo('accounts', {}, (test) => {
  test('sign in twice, switch, sign out, choose, sign out of all', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    await page.getByText(GRACE.name).first().click();
    await page.getByRole('navigation').getByRole('button', { name: ADA.name }).click();
    await visitor.isAt(page, '/me', ADA.name);
  });
});
