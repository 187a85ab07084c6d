// The actions of a user of the demo, in one browser context.

import { sessionIdOf } from './session_id.js';

export const ADA = { user: 'ada', name: 'Ada Fernhill', email: 'ada@example.com' };
export const GRACE = { user: 'grace', name: 'Grace Tolmark', email: 'grace@example.com' };
export const LINUS = { user: 'linus', name: 'Linus Oakby', email: 'linus@example.com' };
export const BARBARA = { user: 'barbara', name: 'Barbara Wrenfield', email: 'barbara@example.com' };
export const EMIL = { user: 'emil', name: 'Emil Sandlow', email: 'emil@example.com' };
export const MARGARET = { user: 'margaret', name: 'Margaret Ashcombe', email: 'margaret@example.com' };
export const DONALD = { user: 'donald', name: 'Donald Pellworm', email: 'donald@example.com' };

export const CHOOSER = '/sign-in/choose';
/** The heading of a page when no account is signed in. */
export const SIGNED_OUT = 'You are not signed in';
/** The text of `/me` when no other account is signed in. */
export const NO_OTHER_ACCOUNT = 'No other account is signed in from this browser.';

export const THIRTY_DAYS = 'Keep me signed in for 30 days';
export const UNTIL_CLOSED = 'Shared computer: forget me after an hour';

export class Visitor {
  /** The errors and warnings on the consoles of the pages, without those that a test expects. */
  consoleErrors = [];
  #expected = [];

  constructor(context, demo) {
    this.context = context;
    this.demo = demo;
    const record = (text) => {
      if (!this.#expected.some((pattern) => pattern.test(text))) this.consoleErrors.push(text);
    };
    context.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) {
        record(`${message.type()} on ${message.location().url}: ${message.text()}`);
      }
    });
    context.on('weberror', (error) => record(`uncaught: ${error.error()}`));
  }

  /** Allows console lines that match. */
  expect(pattern) {
    this.#expected.push(pattern);
  }

  /** Opens a new tab, at `path` of the demo if there is one. */
  async open(path) {
    const page = await this.context.newPage();
    if (path) await page.goto(this.demo.url(path));
    return page;
  }

  /** Signs in with the form, for `duration` if there is one, and waits until `/me` is shown. */
  async signIn(page, account, duration) {
    await page.goto(this.demo.url('/sign-in'));
    await this.fillIn(page, account, duration);
    await this.isAt(page, '/me', account.name);
  }

  /** Sends the sign-in form that the tab shows. */
  async fillIn(page, account, duration) {
    await page.getByRole('radio', { name: account.name }).check();
    if (duration) await page.getByRole('radio', { name: duration }).check();
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  }

  /** Switches with the menu in the header of the page that the tab shows. */
  async switchTo(page, account) {
    const menu = page.getByRole('navigation');
    await menu.getByRole('button').first().click();
    await menu.getByRole('button', { name: `Switch to ${account.name}` }).click();
    await this.isAt(page, '/me', account.name);
  }

  /** Waits until the tab shows `path`, or a URL that matches it, with that heading. */
  async isAt(page, path, heading) {
    const url = path instanceof RegExp ? path : this.demo.url(path);
    await page.waitForURL(url, { waitUntil: 'commit' });
    await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor();
  }

  /** Opens `path` and returns the path and the heading of the page shown then. */
  async headingAt(page, path) {
    await page.goto(this.demo.url(path));
    const heading = await page.getByRole('heading', { level: 1 }).innerText();
    return `${page.url().slice(this.demo.origin.length)}: ${heading}`;
  }

  /** The names of the accounts on the chooser that the tab shows. */
  async offeredAccounts(page) {
    return page.locator('button .label').allInnerTexts();
  }

  /** The body of `GET /session`, fetched in a new tab. */
  async sessions() {
    const page = await this.open();
    const response = await page.goto(this.demo.url('/session'));
    const body = await response.json();
    await page.close();
    return body;
  }

  /** The id of the account's session in this browser. */
  async idOf(account) {
    return sessionIdOf(await this.sessions(), account);
  }

  /** All cookies that Chromium has stored in this browser context. */
  async cookies() {
    const page = this.context.pages()[0] ?? (await this.open());
    const devtools = await this.context.newCDPSession(page);
    const { cookies } = await devtools.send('Network.getAllCookies');
    await devtools.detach();
    return cookies.sort((one, other) => one.name.localeCompare(other.name));
  }
}
