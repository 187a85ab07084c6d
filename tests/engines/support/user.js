// The actions of a user of the demo, in one browser.

import { sessionIdOf } from '../../browser/support/session_id.js';
import { BLANK } from '../../browser/support/site.js';
import { until } from '../../browser/support/until.js';

/** Finds a button or link of the page that is shown, by its text, or by how its text begins. */
function findByText(text, within) {
  const spoken = (element) => {
    const copy = element.cloneNode(true);
    for (const hidden of copy.querySelectorAll('[aria-hidden=true]')) hidden.remove();
    return copy.textContent.replace(/\s+/g, ' ').trim();
  };
  const all = [...document.querySelectorAll(`${within} button, ${within} a`)];
  const found = all.find((one) => spoken(one) === text) ?? all.find((one) => spoken(one).startsWith(text));
  if (!found) throw new Error(`no “${text}” on ${location.href}`);
  return found;
}

export class User {
  constructor(browser, site) {
    this.browser = browser;
    this.site = site;
  }

  /** Opens a tab, at `path` of the site. */
  open(path) {
    return this.browser.open(this.site.url(path));
  }

  async goto(tab, path) {
    await tab.navigate(this.site.url(path));
  }

  /** Clicks a button or a link. */
  click(tab, text, within = 'main') {
    return tab.click(findByText, text, within);
  }

  /** The path and the heading of the page that is shown, once it has loaded. */
  shown(tab) {
    return until('the page has loaded', async () => {
      const read = () =>
        document.readyState === 'complete' && {
          path: location.href.slice(location.origin.length),
          heading: document.querySelector('h1')?.textContent,
          html: document.documentElement.outerHTML,
        };
      // During a navigation there is no page that could run the function.
      return tab.evaluate(read).catch(() => undefined);
    });
  }

  /** Waits until the tab shows `path` with that heading. */
  async isAt(tab, path, heading) {
    let last;
    await until(`the tab is at ${path}: ${heading}`, async () => {
      last = await this.shown(tab);
      return last.path === path && last.heading === heading;
    }).catch((error) => {
      error.message += `; it is at ${last?.path}: ${last?.heading}`;
      throw error;
    });
  }

  /** Goes back one page, and returns the page shown then. */
  async back(tab, path) {
    await tab.back();
    let last;
    await until(`the tab is back at ${path}`, async () => {
      last = await this.shown(tab);
      return last.path === path;
    }).catch((error) => {
      error.message += `; it is at ${last?.path}`;
      throw error;
    });
    return last;
  }

  /** Sends the sign-in form; `duration` is the value of that choice. */
  async fillIn(tab, account, duration = 'usual') {
    await this.goto(tab, '/sign-in');
    await tab.evaluate(
      (user, duration) => {
        document.querySelector(`input[name=user][value=${user}]`).checked = true;
        document.querySelector(`input[name=duration][value=${duration}]`).checked = true;
      },
      account.user,
      duration,
    );
    await this.click(tab, 'Sign in');
  }

  /** Signs in, and waits until `/me` is shown. */
  async signIn(tab, account, duration) {
    await this.fillIn(tab, account, duration);
    await this.isAt(tab, '/me', account.name);
  }

  /** Fetches `path` from the page that is shown. */
  fetch(tab, path, headers = {}) {
    return tab.evaluate(
      async (path, headers) => {
        const response = await fetch(path, { headers });
        return { status: response.status, body: await response.json() };
      },
      path,
      headers,
    );
  }

  /** The body of `GET /session`. */
  async sessions() {
    const tab = await this.open(BLANK);
    const { body } = await this.fetch(tab, '/session');
    await tab.close();
    return body;
  }

  /** The id of the account's session in this browser. */
  async idOf(account) {
    return sessionIdOf(await this.sessions(), account);
  }
}
