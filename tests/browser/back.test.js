// The back button after signing out.

import assert from 'node:assert/strict';

import { History } from './support/history.js';
import { withStranger } from './support/stranger.js';
import { withDemo } from './support/suite.js';
import { ADA, CHOOSER, GRACE } from './support/visitor.js';

function assertTellsNothingOf(person, { url, html }) {
  for (const word of [person.name, person.name.split(' ')[0], person.email]) {
    assert.ok(!html.includes(word), `${url} shows ${word}: ${html}`);
  }
}

withDemo('the back button', {}, (test) => {
  test('shows nothing of who signed out', async (visitor) => {
    const page = await visitor.open();
    const history = await History.of(page);
    await visitor.signIn(page, ADA);
    await visitor.lookAt(page, '/');
    await visitor.lookAt(page, '/me');
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, '/', 'Nobody is signed in');

    const me = await history.back();
    assert.equal(history.how, 'Navigation', 'what was private is not kept in memory');
    assertTellsNothingOf(ADA, { ...me, html: me.html.replace(/<fieldset.*<\/fieldset>/s, '') });
    assert.equal(new URL(me.url).pathname, '/sign-in');
    const home = await history.back();
    assertTellsNothingOf(ADA, home);
    assert.match(home.html, /Nobody is signed in/);
  });

  test('shows nothing of who signed out in another tab, even from another site', async (visitor) => {
    const page = await visitor.open();
    const history = await History.of(page);
    await visitor.signIn(page, ADA);
    const other = await visitor.open('/me');
    await withStranger(async (address) => {
      await page.goto(address('localhost', '', {}));
      await other.getByRole('button', { name: 'Sign out', exact: true }).click();
      await visitor.isAt(other, '/', 'Nobody is signed in');
      const me = await history.back();
      assert.equal(history.how, 'Navigation', 'what was private is not kept in memory');
      assert.equal(new URL(me.url).pathname, '/sign-in');
    });
  });

  test('shows nothing of one account to another one', async (visitor) => {
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
    assertTellsNothingOf(ADA, chooser);
    const me = await history.back();
    assert.equal(new URL(me.url).pathname, '/me');
    assertTellsNothingOf(ADA, me);
    assert.ok(me.html.includes(GRACE.email));
  });

  // Were it otherwise, the tests above would prove nothing.
  test('brings pages back from memory where nothing changed', async (visitor) => {
    const page = await visitor.open();
    const history = await History.of(page);
    await withStranger(async (address) => {
      await page.goto(address('localhost', '', { number: '1' }));
      await page.goto(address('localhost', '', { number: '2' }));
      await history.back();
      assert.equal(history.how, 'BackForwardCacheRestore', history.why);
    });
  });
});
