// Two tabs on two accounts: a tab that names its session in the header `session-id`.

import assert from 'node:assert/strict';

import { withDemo } from './support/suite.js';
import { ADA, CHOOSER, GRACE } from './support/visitor.js';

/** What a script of the page in `page` is answered at `path`. */
function ask(page, path, session) {
  return page.evaluate(
    async ({ path, session }) => {
      const headers = session ? { 'session-id': session } : {};
      const response = await fetch(path, { headers });
      return { status: response.status, body: await response.json() };
    },
    { path, session },
  );
}

async function accountOf(page, session) {
  const { status, body } = await ask(page, '/api/me', session);
  return status === 200 ? body.subject : status;
}

withDemo('tabs', {}, (test) => {
  // The demo's own pages have no script, and their policy allows none to ask anything.
  const options = { bypassCSP: true };

  test('a tab that names its session keeps its account', async (visitor) => {
    const adas = await visitor.open();
    await visitor.signIn(adas, ADA);
    const session = await visitor.idOf(ADA);
    const other = await visitor.open();
    await visitor.signIn(other, GRACE);

    assert.equal(await accountOf(adas, session), ADA.user);
    assert.equal(await accountOf(adas), GRACE.user, 'who names nobody follows the browser');
    await visitor.switchTo(other, ADA);
    await visitor.switchTo(other, GRACE);
    assert.equal(await accountOf(adas, session), ADA.user);
    assert.equal(await accountOf(other), GRACE.user);

    // What a named request answers switches nobody.
    assert.equal((await visitor.sessions()).active, await visitor.idOf(GRACE));
  }, options);

  test('a tab whose session signed out is refused and never another account', async (visitor) => {
    visitor.expect(/status of 409/);
    const adas = await visitor.open();
    await visitor.signIn(adas, ADA);
    const session = await visitor.idOf(ADA);
    const other = await visitor.open();
    await visitor.signIn(other, GRACE);
    await other.getByRole('button', { name: `Sign out of ${ADA.name}` }).click();
    await other.getByText('Nobody else is signed in from this browser.').waitFor();

    const refused = await ask(adas, '/api/me', session);
    assert.equal(refused.status, 409);
    assert.ok(!JSON.stringify(refused.body).includes(GRACE.user), JSON.stringify(refused.body));
    assert.equal(await accountOf(adas), GRACE.user);

    // Nor after signing in again, which is another session.
    await visitor.signIn(other, ADA);
    assert.equal(await accountOf(adas, session), 409);
  }, options);

  test('a tab is refused in choose state and when nobody is signed in too', async (visitor) => {
    visitor.expect(/status of 40[19]/);
    const page = await visitor.open();
    await visitor.signIn(page, GRACE);
    await visitor.signIn(page, ADA);
    const session = await visitor.idOf(ADA);
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, CHOOSER, 'Choose an account');
    assert.equal(await accountOf(page, session), 409);
    assert.equal(await accountOf(page), 401);
    assert.equal(await accountOf(page, await visitor.idOf(GRACE)), GRACE.user);
    await page.getByRole('button', { name: `Sign out of ${GRACE.name}` }).click();
    await visitor.isAt(page, '/', 'Nobody is signed in');
    assert.equal(await accountOf(page, session), 409);
  }, options);

  test('a tab whose navigations name their session shows that account', async (visitor) => {
    const adas = await visitor.open();
    await visitor.signIn(adas, ADA);
    await adas.setExtraHTTPHeaders({ 'session-id': await visitor.idOf(ADA) });
    const other = await visitor.open();
    await visitor.signIn(other, GRACE);
    assert.equal(await visitor.lookAt(adas, '/me'), `/me: ${ADA.name}`);
    assert.equal(await visitor.lookAt(other, '/me'), `/me: ${GRACE.name}`);

    await other.getByRole('button', { name: `Sign out of ${ADA.name}` }).click();
    await other.getByText('Nobody else is signed in from this browser.').waitFor();
    const response = await adas.goto(visitor.demo.url('/me'));
    assert.ok(!(await adas.content()).includes(GRACE.email), `${response.status()} ${adas.url()}`);
  }, options);

  test('scripts see no cookie', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    assert.equal(await page.evaluate(() => document.cookie), '');
    const { body } = await ask(page, '/session');
    const tokens = (await visitor.cookies()).map(({ value }) => value).filter((value) => value.includes('.'));
    assert.equal(tokens.length, 2);
    for (const token of tokens) assert.ok(!JSON.stringify(body).includes(token));
  }, options);
});
