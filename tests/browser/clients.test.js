// HTMX and Turbo, which send requests by script and show the responses to the user: both follow
// redirects of guards and endpoints, and the pages for users are accessible.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { assertAccessible, assertFitsPhone } from './support/checks.js';
import { withDemo } from './support/suite.js';
import { ADA, SIGNED_OUT } from './support/visitor.js';

const require = createRequire(import.meta.url);
const library = (name) => readFileSync(require.resolve(name), 'utf8');

/** A page of the demo's origin at `path`, with `script` and `body`. */
async function serve(page, path, script, body) {
  const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Test</title>
<script>${script}</script></head><body><h1>Test</h1>${body}</body></html>`;
  await page.route(`**${path}`, (route) => route.fulfill({ contentType: 'text/html', body: html }));
}

const HTMX_PAGE = '/test-htmx';
const TURBO_PAGE = '/test-turbo';

async function openHtmx(visitor, page) {
  const body = `
    <button hx-post="/sign-out" hx-target="#part">Sign out</button>
    <button hx-get="/me" hx-target="#part">Load</button>
    <a hx-boost="true" href="/me">Boosted</a>
    <div id="part">part</div>`;
  await serve(page, HTMX_PAGE, library('htmx.org/dist/htmx.min.js'), body);
  await page.goto(visitor.demo.url(HTMX_PAGE));
}

async function openTurbo(visitor, page) {
  const body = `
    <form method="post" action="/sign-out"><button>Sign out</button></form>
    <form method="post" action="/sign-out?scope=nonsense"><button>Broken</button></form>
    <a href="/me">Link</a>
    <turbo-frame id="frame"><a href="/me">In the frame</a></turbo-frame>`;
  await serve(page, TURBO_PAGE, library('@hotwired/turbo/dist/turbo.es2017-umd.js'), body);
  await page.goto(visitor.demo.url(TURBO_PAGE));
}

const signInFrom = (path) => `/sign-in?redirect_url=${encodeURIComponent(path)}`;

withDemo('HTMX', {}, (test) => {
  test('loads the page after a sign-out', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await openHtmx(visitor, page);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await visitor.isAt(page, '/', SIGNED_OUT);
  });

  test('is redirected to sign in, and back to the page that contains the part', async (visitor) => {
    visitor.expect(/status of 401/);
    const page = await visitor.open();
    await openHtmx(visitor, page);
    await page.getByRole('button', { name: 'Load' }).click();
    await page.waitForURL(visitor.demo.url(signInFrom(HTMX_PAGE)));
    await openHtmx(visitor, page);
    await page.getByRole('link', { name: 'Boosted' }).click();
    await page.waitForURL(visitor.demo.url(signInFrom('/me')));
  });
});

withDemo('Turbo', {}, (test) => {
  test('follows the redirect after a sign-out', async (visitor) => {
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await openTurbo(visitor, page);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await visitor.isAt(page, '/', SIGNED_OUT);
  });

  test('shows the page about a form that is not accepted', async (visitor) => {
    visitor.expect(/status of 400/);
    const page = await visitor.open();
    await visitor.signIn(page, ADA);
    await openTurbo(visitor, page);
    await page.getByRole('button', { name: 'Broken' }).click();
    await page.getByRole('heading', { name: 'The request is not valid' }).waitFor();
  });

  test('is redirected to sign in by links and frames', async (visitor) => {
    visitor.expect(/status of 401/);
    visitor.expect(/turbo-visit-control/);
    const page = await visitor.open();
    await openTurbo(visitor, page);
    await page.getByRole('link', { name: 'Link' }).click();
    await page.waitForURL(visitor.demo.url(signInFrom('/me')));
    await openTurbo(visitor, page);
    await page.getByRole('link', { name: 'In the frame' }).click();
    await page.getByRole('heading', { name: SIGNED_OUT }).waitFor();
  });
});

withDemo('pages about refused requests', {}, (test) => {
  test('are accessible and fit a phone', async (visitor) => {
    visitor.expect(/status of 40[35]/);
    const page = await visitor.open();
    await page.goto(visitor.demo.url('/sign-out'));
    await assertAccessible(page);
    await assertFitsPhone(page);
    // A form of another origin.
    await page.route('**/foreign', (route) => {
      const action = visitor.demo.url('/sign-out');
      const body = `<!doctype html><form method="post" action="${action}"><button>Go</button></form>`;
      return route.fulfill({ contentType: 'text/html', body });
    });
    await page.goto('http://other.localhost/foreign');
    await page.getByRole('button').click();
    await page.getByRole('heading', { name: 'The request was refused' }).waitFor();
    await assertAccessible(page);
    await assertFitsPhone(page);
    await page.getByRole('link', { name: 'Go to the start page' }).click();
    await visitor.isAt(page, '/', SIGNED_OUT);
    assert.equal(await page.locator('h1').count(), 1);
  });
});
