// Chromium through its own protocol. Playwright attaches to pages in a way that turns prerendering off;
// this attaches through the tab, which lives on when a prerendered page takes the place of the one shown.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { withProgram } from './browser.js';
import { TIMEOUT_MS, until } from './until.js';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

class Connection {
  #commands = new Map();
  #lastId = 0;
  #rest = '';

  constructor(child, onEvent) {
    const [input, output] = [child.stdio[3], child.stdio[4]];
    this.input = input;
    output.setEncoding('utf8').on('data', (text) => {
      const messages = (this.#rest + text).split('\0');
      this.#rest = messages.pop();
      for (const message of messages) this.#receive(JSON.parse(message), onEvent);
    });
    child.on('exit', () => this.#fail('Chromium ended'));
  }

  /** Fails the commands that have no response, of all sessions or of one. */
  #fail(reason, session) {
    for (const [id, { reject, name, sessionId }] of this.#commands) {
      if (session === undefined || session === sessionId) {
        this.#commands.delete(id);
        reject(new Error(`${name}: ${reason}`));
      }
    }
  }

  #receive({ id, result, error, method, params, sessionId }, onEvent) {
    if (!id) {
      if (method === 'Target.detachedFromTarget') this.#fail('the page is gone', params.sessionId);
      return onEvent(method, params, sessionId);
    }
    const { resolve, reject, name } = this.#commands.get(id) ?? {};
    if (!this.#commands.delete(id)) return undefined;
    return error ? reject(new Error(`${name}: ${error.message}`)) : resolve(result);
  }

  send(name, params = {}, sessionId = undefined) {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#commands.set(id, { resolve, reject, name, sessionId });
      this.input.write(`${JSON.stringify({ id, method: name, params, sessionId })}\0`);
    });
  }
}

/** A tab, which shows one page at a time and may prerender others. */
export class Tab {
  /** The attached pages, by their session. */
  #pages = new Map();
  /** The last status of each page that was fetched or rendered ahead, by kind and URL. */
  #speculations = new Map();
  #connection;

  constructor(connection) {
    this.#connection = connection;
  }

  static async open(connection, onSession) {
    const { targetId } = await connection.send('Target.createTarget', { url: 'about:blank', forTab: true });
    const { sessionId } = await connection.send('Target.attachToTarget', { targetId, flatten: true });
    const tab = new Tab(connection);
    onSession(sessionId, tab);
    const attach = { autoAttach: true, waitForDebuggerOnStart: false, flatten: true, filter: [{ type: 'page' }] };
    await connection.send('Target.setAutoAttach', attach, sessionId);
    await connection.send('Preload.enable', {}, await tab.#shown());
    // The policy of the demo's own pages forbids their scripts, and so those of the tests.
    await connection.send('Page.setBypassCSP', { enabled: true }, await tab.#shown());
    return tab;
  }

  onEvent(method, params) {
    const { sessionId, targetInfo } = params;
    if (method === 'Target.attachedToTarget') this.#pages.set(sessionId, targetInfo);
    if (method === 'Target.detachedFromTarget') this.#pages.delete(sessionId);
    if (method === 'Target.targetInfoChanged') {
      for (const [session, { targetId }] of this.#pages) {
        if (targetId === targetInfo.targetId) this.#pages.set(session, targetInfo);
      }
    }
    if (/^Preload\.\w+StatusUpdated$/.test(method)) {
      const { key, status, prerenderStatus, prefetchStatus } = params;
      this.#speculations.set(`${key.action} ${key.url}`, { status, reason: prerenderStatus ?? prefetchStatus });
    }
  }

  /** The session of the page that is shown. */
  async #shown() {
    const [session] = await until('the tab shows a page', () =>
      [...this.#pages].findLast(([, { subtype }]) => !subtype),
    );
    return session;
  }

  /** Calls a function in the page that is shown with values that JSON can express. */
  async evaluate(work, ...args) {
    const call = {
      expression: `(${work})(...${JSON.stringify(args)})`,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    };
    const { result, exceptionDetails } = await this.#connection.send('Runtime.evaluate', call, await this.#shown());
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Follows a link to `url`, and waits until the tab shows another page, which has loaded. */
  async follow(url) {
    await this.evaluate((url) => {
      window.isLeft = true;
      // The page may be gone before the link was followed.
      setTimeout(() => location.assign(url));
    }, url);
    return until(`the tab shows the page behind ${url}`, () =>
      // During a navigation there is no page that could run the function.
      this.evaluate(() => !window.isLeft && document.readyState === 'complete').catch(() => false),
    );
  }

  /** Makes the browser fetch or render `url` ahead, and waits until it has. */
  async speculate(action, url) {
    await this.evaluate(
      (action, url) => {
        const rules = { [action]: [{ source: 'list', urls: [url], eagerness: 'immediate' }] };
        const script = document.createElement('script');
        Object.assign(script, { type: 'speculationrules', textContent: JSON.stringify(rules) });
        document.head.append(script);
      },
      action.toLowerCase(),
      url,
    );
    await until(`the ${action} of ${url} is ready`, () => {
      const { status, reason } = this.#speculations.get(`${action} ${url}`) ?? {};
      if (status === 'Failure') throw new Error(`the ${action} of ${url} failed: ${reason}`);
      return status === 'Ready';
    });
  }

  /** The cookies for the page that is shown. */
  async cookies() {
    const { cookies } = await this.#connection.send('Network.getCookies', {}, await this.#shown());
    return cookies;
  }
}

/** Calls `work` with a function that opens a tab, in a Chromium with an empty profile. */
export function withTabs(work) {
  return withProgram(async ({ executablePath, args, env }) => {
    const child = spawn(
      executablePath,
      ['--headless', '--remote-debugging-pipe', '--no-default-browser-check', ...args, 'about:blank'],
      { env, stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
    );
    running.add(child);
    child.on('exit', () => running.delete(child));
    const tabs = new Map();
    const connection = new Connection(child, (method, params, session) => {
      const tab = tabs.get(session);
      // The events of a page are those of its tab.
      if (method === 'Target.attachedToTarget') tabs.set(params.sessionId, tab);
      tab?.onEvent(method, params);
    });
    const open = async (url) => {
      const tab = await Tab.open(connection, (session, tab) => tabs.set(session, tab));
      await tab.follow(url);
      return tab;
    };
    try {
      return await work(open);
    } finally {
      const ended = once(child, 'exit');
      const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
      connection.send('Browser.close').catch(() => {});
      await ended;
      clearTimeout(timer);
    }
  });
}
