// Two tabs with two accounts: a tab names its session in the header `session-id`.

import assert from 'node:assert/strict';

import { withDemo } from './support/suite.js';
import { ADA, CHOOSER, GRACE, NO_OTHER_ACCOUNT, SIGNED_OUT } from './support/visitor.js';

/** Fetches `path` from a script in the tab, and returns the status and the body of the response. */
function fetchFrom(page, path, session) {
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
  const { status, body } = await fetchFrom(page, '/api/me', session);
  return status === 200 ? body.subject : status;
}

withDemo('tabs', {}, (test) => {
  // The content security policy of the demo's own pages forbids scripts to fetch anything.
  const options = { bypassCSP: true };

  test('a tab that names its session keeps its account', async (visitor) => {
    const first = await visitor.open();
    await visitor.signIn(first, ADA);
    const session = await visitor.idOf(ADA);
    const second = await visitor.open();
    await visitor.signIn(second, GRACE);

    assert.equal(await accountOf(first, session), ADA.user);
    assert.equal(await accountOf(first), GRACE.user, 'a request without the header has the active account');
    await visitor.switchTo(second, ADA);
    await visitor.switchTo(second, GRACE);
    assert.equal(await accountOf(first, session), ADA.user);
    assert.equal(await accountOf(second), GRACE.user);

    // A request with the header does not switch the active account.
    assert.equal((await visitor.sessions()).active, await visitor.idOf(GRACE));
  }, options);

  test('a tab whose session signed out gets 409 and no other account', async (visitor) => {
    visitor.expect(/status of 409/);
    const first = await visitor.open();
    await visitor.signIn(first, ADA);
    const session = await visitor.idOf(ADA);
    const second = await visitor.open();
    await visitor.signIn(second, GRACE);
    await second.getByRole('button', { name: `Sign out of ${ADA.name}` }).click();
    await second.getByText(NO_OTHER_ACCOUNT).waitFor();

    const rejected = await fetchFrom(first, '/api/me', session);
    assert.equal(rejected.status, 409);
    assert.ok(!JSON.stringify(rejected.body).includes(GRACE.user), JSON.stringify(rejected.body));
    assert.equal(await accountOf(first), GRACE.user);

    // Signing in to the account again makes another session.
    await visitor.signIn(second, ADA);
    assert.equal(await accountOf(first, session), 409);
  }, options);

  test('a tab whose session signed out gets 409 without an active account too', async (visitor) => {
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
    await visitor.isAt(page, '/', SIGNED_OUT);
    assert.equal(await accountOf(page, session), 409);
  }, options);

  test('a tab whose navigations name a session shows its account', async (visitor) => {
    const first = await visitor.open();
    await visitor.signIn(first, ADA);
    await first.setExtraHTTPHeaders({ 'session-id': await visitor.idOf(ADA) });
    const second = await visitor.open();
    await visitor.signIn(second, GRACE);
    assert.equal(await visitor.headingAt(first, '/me'), `/me: ${ADA.name}`);
    assert.equal(await visitor.headingAt(second, '/me'), `/me: ${GRACE.name}`);

    await second.getByRole('button', { name: `Sign out of ${ADA.name}` }).click();
    await second.getByText(NO_OTHER_ACCOUNT).waitFor();
    const response = await first.goto(visitor.demo.url('/me'));
    assert.ok(!(await first.content()).includes(GRACE.email), `${response.status()} ${first.url()}`);
  }, options);

  test('scripts can read no cookie and no token', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await visitor.signIn(page, GRACE);
    assert.equal(await page.evaluate(() => document.cookie), '');
    const { body } = await fetchFrom(page, '/session');
    const tokens = (await visitor.cookies()).map(({ value }) => value).filter((value) => value.includes('.'));
    assert.equal(tokens.length, 2);
    for (const token of tokens) assert.ok(!JSON.stringify(body).includes(token));
  }, options);
});
