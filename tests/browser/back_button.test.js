// The back button after signing out.

import assert from 'node:assert/strict';

import { History } from './support/history.js';
import { withOtherSite } from './support/other_site.js';
import { withDemo } from './support/suite.js';
import { ADA, CHOOSER, GRACE, SIGNED_OUT } from './support/visitor.js';

function assertShowsNothingOf(account, { url, html }) {
  for (const word of [account.name, account.name.split(' ')[0], account.email]) {
    assert.ok(!html.includes(word), `${url} shows ${word}: ${html}`);
  }
}

withDemo('the back button', {}, (test) => {
  test('shows nothing of a signed-out account', async (visitor) => {
    const page = await visitor.open();
    const history = await History.of(page);
    await visitor.signIn(page, ADA);
    await visitor.headingAt(page, '/');
    await visitor.headingAt(page, '/me');
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, '/', SIGNED_OUT);

    const me = await history.back();
    assert.equal(history.navigationType, 'Navigation', 'the private page was loaded anew');
    assertShowsNothingOf(ADA, { ...me, html: me.html.replace(/<fieldset.*<\/fieldset>/s, '') });
    assert.equal(new URL(me.url).pathname, '/sign-in');
    const home = await history.back();
    assertShowsNothingOf(ADA, home);
    assert.ok(home.html.includes(SIGNED_OUT));
  });

  test('shows nothing of an account signed out in another tab, even back from another site', async (visitor) => {
    const page = await visitor.open();
    const history = await History.of(page);
    await visitor.signIn(page, ADA);
    const other = await visitor.open('/me');
    await withOtherSite(async (address) => {
      await page.goto(address('localhost', '', {}));
      await other.getByRole('button', { name: 'Sign out', exact: true }).click();
      await visitor.isAt(other, '/', SIGNED_OUT);
      const me = await history.back();
      assert.equal(history.navigationType, 'Navigation', 'the private page was loaded anew');
      assert.equal(new URL(me.url).pathname, '/sign-in');
    });
  });

  test('shows nothing of one account after another one was chosen', async (visitor) => {
    const page = await visitor.open();
    const history = await History.of(page);
    await visitor.signIn(page, GRACE);
    await visitor.signIn(page, ADA);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, CHOOSER, 'Choose an account');
    await page.getByRole('button', { name: `Continue as ${GRACE.name}` }).click();
    await visitor.isAt(page, '/', 'Hello, Grace');
    const chooser = await history.back();
    assert.equal(new URL(chooser.url).pathname, CHOOSER);
    assertShowsNothingOf(ADA, chooser);
    const me = await history.back();
    assert.equal(new URL(me.url).pathname, '/me');
    assertShowsNothingOf(ADA, me);
    assert.ok(me.html.includes(GRACE.email));
  });

  // A control: without the back/forward cache, the tests above would always pass.
  test('restores a public page from the back/forward cache', async (visitor) => {
    const page = await visitor.open();
    const history = await History.of(page);
    await withOtherSite(async (address) => {
      await page.goto(address('localhost', '', { number: '1' }));
      await page.goto(address('localhost', '', { number: '2' }));
      await history.back();
      assert.equal(history.navigationType, 'BackForwardCacheRestore', history.notRestoredReason);
    });
  });
});
