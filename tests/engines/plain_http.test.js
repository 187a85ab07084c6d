// WebKit over plain HTTP, where it discards Secure cookies, also of this machine.

import assert from 'node:assert/strict';

import { serve } from '../browser/support/site.js';
import { ADA } from '../browser/support/visitor.js';
import { withEngines } from './support/suite.js';
import { WebKit } from './support/webkit.js';

const ENGINES = ['127.0.0.1', 'localhost'].map((host) => ({
  Engine: WebKit,
  scheme: 'http',
  host,
  name: `WebKitGTK at http://${host}`,
}));

withEngines(ENGINES, (test, { host }) => {
  test('Secure cookies are discarded, others are stored', async (user) => {
    const probe = await serve('http', (request, response) => {
      response.setHeader('set-cookie', [
        'plain=1; Path=/',
        'secure=1; Path=/; Secure',
        '__Host-h=1; Path=/; Secure',
        '__Secure-s=1; Path=/; Secure',
      ]);
      response.setHeader('content-type', 'text/html');
      response.end('<!doctype html><link rel="icon" href="data:,"><h1>Probe</h1>');
    });
    try {
      const tab = await user.browser.open(probe.origin(host));
      assert.equal(await tab.evaluate(() => window.isSecureContext), true);
      assert.deepEqual((await tab.cookies()).map(({ name }) => name), ['plain']);
    } finally {
      probe.close();
    }
  });

  test('a sign-in with Secure cookies leads back to the sign-in page', async (user) => {
    const tab = await user.open('/');
    await user.fillIn(tab, ADA);
    await user.isAt(tab, '/sign-in?redirect_url=%2Fme&cookie_missing=1', 'Sign in');
    const { html } = await user.shown(tab);
    assert.match(html, /your browser did not keep the cookie/);
    const { cookies } = user.site.last('POST', '/sign-in');
    assert.ok(cookies.every((line) => line.includes('; Secure')), cookies.join('\n'));
    assert.deepEqual(await tab.cookies(), []);
    assert.deepEqual(await user.sessions(), { active: null, sessions: [] });
  });

  test('users sign in with the cookies for development', async (user) => {
    const tab = await user.open('/');
    await user.signIn(tab, ADA);
    const names = (await tab.cookies()).map(({ name }) => name);
    assert.ok(names.length > 0 && names.every((name) => name.startsWith('session.')), names.join());
  }, { SESSION_INSECURE_COOKIES: 'on' });
});
