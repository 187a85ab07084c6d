// The OpenID Connect example with a certified provider: the answer by a redirect and by a form, several
// accounts, parallel tabs, sign-out at the provider, and login CSRF.

import assert from 'node:assert/strict';

import { assertAccessible, assertFitsPhone } from './support/checks.js';
import { OidcExample } from './support/oidc.js';
import { withServer } from './support/suite.js';
import { CHOOSER } from './support/visitor.js';

const ADA = { user: 'ada', name: 'Ada Fernhill' };
const GRACE = { user: 'grace', name: 'Grace Tolmark' };

/** The provider's pages name a font of another host, which tests do not reach. */
async function withoutFonts(visitor) {
  const empty = { contentType: 'text/css', body: '' };
  await visitor.context.route(/^https:\/\/fonts\./, (route) => route.fulfill(empty));
}

/** The page of the provider that asks for the login. */
async function isAtProvider(visitor, page) {
  await page.waitForURL((url) => url.href.startsWith(`${visitor.demo.provider}/interaction/`));
}

/** Signs in at the provider, whose page the tab shows, and agrees that the application learns the name. */
async function signInAtProvider(visitor, page, account) {
  await isAtProvider(visitor, page);
  await page.locator('input[name=login]').fill(account.user);
  await page.locator('input[name=password]').fill('any');
  await page.getByRole('button', { name: 'Sign-in' }).click();
  // The provider asks once whether the application may learn the name.
  const agree = page.getByRole('button', { name: 'Continue' });
  const answered = page.waitForURL((url) => url.origin === visitor.demo.origin).then(() => false);
  const asks = await Promise.race([agree.waitFor().then(() => true), answered]);
  if (asks) await agree.click();
}

async function signIn(visitor, page, account) {
  await page.goto(visitor.demo.url('/sign-in'));
  await signInAtProvider(visitor, page, account);
  await visitor.isAt(page, '/', `Hello, ${account.name}`);
}

/** The names of our cookies, without the ids of sessions and flows. */
async function ownCookies(visitor) {
  const cookies = (await visitor.cookies()).filter(({ domain }) => domain === '127.0.0.1');
  return cookies.map(({ name }) => name.replace(/\.[\w-]{22}$/, '.<id>')).sort();
}

const SESSION = ['__Host-session.<id>', '__Host-session.active'];
const FLOW = '__Host-session.flow.<id>';

for (const mode of ['query', 'form_post']) {
  withServer(`OpenID Connect with ${mode}`, () => OidcExample.start({ RESPONSE_MODE: mode }), (define) => {
    const test = (name, run, options) =>
      define(name, async (visitor) => {
        await withoutFonts(visitor);
        await run(visitor);
      }, options);

    test('signs in and returns to the page that the user asked for', async (visitor) => {
      const page = await visitor.open();
      const urls = [];
      page.on('request', (request) => urls.push(request.url()));
      await page.goto(visitor.demo.url('/account'));
      await isAtProvider(visitor, page);
      const [flow] = (await visitor.cookies()).filter(({ name }) => name.includes('.flow.'));
      assert.equal(flow.sameSite, mode === 'form_post' ? 'None' : 'Lax');
      assert.ok(flow.httpOnly && flow.secure);
      await signInAtProvider(visitor, page, ADA);
      await visitor.isAt(page, '/account', ADA.name);
      await page.getByText('Mail: ada@example.com').waitFor();
      assert.deepEqual(await ownCookies(visitor), SESSION);
      // A form keeps the code out of URLs.
      assert.equal(urls.some((url) => /[?&]code=/.test(url)), mode === 'query');
    });

    test('adds a second account and switches between both', async (visitor) => {
      const page = await visitor.open('/');
      await signIn(visitor, page, ADA);
      await page.getByRole('link', { name: 'Add an account' }).click();
      await signInAtProvider(visitor, page, GRACE);
      await visitor.isAt(page, '/', `Hello, ${GRACE.name}`);
      const { sessions } = await visitor.sessions();
      assert.deepEqual(sessions.map(({ subject }) => subject).sort(), ['ada', 'grace']);
      await page.getByRole('button', { name: `Switch to ${ADA.name}` }).click();
      await visitor.isAt(page, '/', `Hello, ${ADA.name}`);
      await page.getByRole('button', { name: `Sign out ${ADA.name}` }).click();
      await visitor.isAt(page, CHOOSER, 'Choose an account');
      // A page that requires an account redirects there too, and the choice redirects back to it.
      await page.goto(visitor.demo.url('/account'));
      await visitor.isAt(page, `${CHOOSER}?redirect_url=%2Faccount`, 'Choose an account');
      await page.getByRole('button', { name: `Continue as ${GRACE.name}` }).click();
      await visitor.isAt(page, '/account', GRACE.name);
    });

    test('replaces the session of an account that signs in again', async (visitor) => {
      const page = await visitor.open('/');
      await signIn(visitor, page, ADA);
      const before = (await visitor.sessions()).sessions;
      await page.getByRole('link', { name: 'Add an account' }).click();
      await signInAtProvider(visitor, page, ADA);
      await visitor.isAt(page, '/', `Hello, ${ADA.name}`);
      const after = (await visitor.sessions()).sessions;
      assert.equal(after.length, 1);
      assert.notEqual(after[0].session_id, before[0].session_id);
    });

    test('finishes the sign-ins of two tabs in any order', async (visitor) => {
      const [one, two] = [await visitor.open('/account'), await visitor.open('/sign-in')];
      for (const page of [one, two]) await isAtProvider(visitor, page);
      assert.deepEqual(await ownCookies(visitor), [FLOW, FLOW]);
      await signInAtProvider(visitor, two, ADA);
      await visitor.isAt(two, '/', `Hello, ${ADA.name}`);
      await signInAtProvider(visitor, one, ADA);
      await visitor.isAt(one, '/account', ADA.name);
      assert.deepEqual(await ownCookies(visitor), SESSION);
    });

    test('signs out at the provider', async (visitor) => {
      const page = await visitor.open('/');
      await signIn(visitor, page, ADA);
      await page.getByRole('button', { name: 'Sign out of all accounts' }).click();
      await page.getByRole('button', { name: 'Yes, sign me out' }).click();
      await visitor.isAt(page, '/', 'You are signed out');
      // The provider does not know the user either.
      await page.getByRole('link', { name: 'Sign in' }).click();
      await isAtProvider(visitor, page);
      await page.locator('input[name=password]').waitFor();
    });

    test('does not sign a visitor in with the answer that another browser began', async (visitor) => {
      const attacker = await visitor.open('/sign-in');
      const answered = attacker.waitForRequest(/\/callback\b/);
      await signInAtProvider(visitor, attacker, { user: 'mallory' });
      const answer = await answered;
      await visitor.isAt(attacker, '/', 'Hello, mallory');

      const victim = await visitor.context.browser().newContext();
      try {
        const page = await victim.newPage();
        const response = page.waitForResponse(/\/callback\b/);
        if (answer.method() === 'POST') {
          const fields = [...new URLSearchParams(answer.postData())];
          const inputs = fields.map(([name, value]) => `<input name="${name}" value="${value}">`);
          await page.setContent(`<form method="post" action="${answer.url()}">${inputs.join('')}</form>`);
          await page.evaluate(() => document.forms[0].submit());
        } else {
          await page.goto(answer.url());
        }
        assert.equal((await response).status(), 400);
        await page.getByRole('heading', { level: 1, name: 'Please start again' }).waitFor();
        assert.deepEqual(await victim.cookies(visitor.demo.origin), []);
      } finally {
        await victim.close();
      }
    });

    test('says what the provider refused', async (visitor) => {
      const page = await visitor.open('/sign-in');
      await isAtProvider(visitor, page);
      visitor.expect(/400 \(Bad Request\)/);
      await page.getByRole('link', { name: /Cancel/ }).click();
      await page.getByRole('heading', { level: 1, name: 'You were not signed in' }).waitFor();
      await page.getByText('access_denied').waitFor();
      assert.deepEqual(await ownCookies(visitor), []);
    });

    test('has pages that are accessible and fit a phone', async (visitor) => {
      const page = await visitor.open('/');
      await assertAccessible(page);
      await signIn(visitor, page, ADA);
      await assertAccessible(page);
      await assertFitsPhone(page);
    }, { bypassCSP: true });
  });
}
