// What a person does with the demo, in one browser context.

import assert from 'node:assert/strict';

export const ADA = { user: 'ada', name: 'Ada Lovelace', email: 'ada@example.com' };
export const GRACE = { user: 'grace', name: 'Grace Hopper', email: 'grace@example.com' };
export const LINUS = { user: 'linus', name: 'Linus Torvalds', email: 'linus@example.com' };
export const BARBARA = { user: 'barbara', name: 'Barbara Liskov', email: 'barbara@example.com' };
export const EDSGER = { user: 'edsger', name: 'Edsger Dijkstra', email: 'edsger@example.com' };
export const MARGARET = { user: 'margaret', name: 'Margaret Hamilton', email: 'margaret@example.com' };
export const DONALD = { user: 'donald', name: 'Donald Knuth', email: 'donald@example.com' };

export const CHOOSER = '/sign-in/choose';
export const THIRTY_DAYS = 'Keep me signed in for 30 days';
export const UNTIL_CLOSED = 'Forget me when I close the browser';

export class Visitor {
  /** What the pages complained about on their console, but for what a test expects. */
  complaints = [];
  #expected = [];

  constructor(context, demo) {
    this.context = context;
    this.demo = demo;
    const complain = (text) => {
      if (!this.#expected.some((pattern) => pattern.test(text))) this.complaints.push(text);
    };
    context.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) {
        complain(`${message.type()} on ${message.location().url}: ${message.text()}`);
      }
    });
    context.on('weberror', (error) => complain(`uncaught: ${error.error()}`));
  }

  /** Console lines that match are what this test is about. */
  expect(pattern) {
    this.#expected.push(pattern);
  }

  /** A new tab at `path` of the demo. */
  async open(path) {
    const page = await this.context.newPage();
    if (path) await page.goto(this.demo.url(path));
    return page;
  }

  /** Signs in with the form, with the boxes `ticked`, and ends at `/me`. */
  async signIn(page, person, ...ticked) {
    await page.goto(this.demo.url('/sign-in'));
    await this.fillIn(page, person, ...ticked);
    await this.isAt(page, '/me', person.name);
  }

  /** Sends the sign-in form that the tab is at. */
  async fillIn(page, person, ...ticked) {
    await page.getByRole('radio', { name: person.name }).check();
    for (const box of ticked) await page.getByRole('checkbox', { name: box }).check();
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  }

  /** Switches with the menu in the header of the page that the tab is at. */
  async switchTo(page, person) {
    const menu = page.getByRole('navigation');
    await menu.locator('summary').click();
    await menu.getByRole('button', { name: `Switch to ${person.name}` }).click();
    await this.isAt(page, '/me', person.name);
  }

  /** Waits until the tab is at `path` with that heading. */
  async isAt(page, path, heading) {
    await page.waitForURL(this.demo.url(path), { waitUntil: 'commit' });
    await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor();
  }

  /** Opens `path` and says where that led, and under which heading. */
  async lookAt(page, path) {
    await page.goto(this.demo.url(path));
    const heading = await page.getByRole('heading', { level: 1 }).innerText();
    return `${page.url().slice(this.demo.origin.length)}: ${heading}`;
  }

  /** Who is offered on the chooser that the tab is at. */
  async offered(page) {
    return page.locator('button .label').allInnerTexts();
  }

  /** What `GET /session` says, asked by a tab of its own. */
  async sessions() {
    const page = await this.open();
    const response = await page.goto(this.demo.url('/session'));
    const answer = await response.json();
    await page.close();
    return answer;
  }

  /** The id of the session that `person` has in this browser. */
  async idOf(person) {
    const { sessions } = await this.sessions();
    const session = sessions.find(({ subject }) => subject === person.user);
    assert.ok(session, `${person.user} is signed in here`);
    return session.session_id;
  }

  /** All of this browser's cookies, as Chromium stored them. */
  async cookies() {
    const page = this.context.pages()[0] ?? (await this.open());
    const tools = await this.context.newCDPSession(page);
    const { cookies } = await tools.send('Network.getAllCookies');
    await tools.detach();
    return cookies.sort((one, other) => one.name.localeCompare(other.name));
  }
}
