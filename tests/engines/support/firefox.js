// Firefox, through WebDriver BiDi.

import { writeFileSync } from 'node:fs';
import path from 'node:path';

import WebSocket from 'ws';

import { TIMEOUT_MS, until } from '../../browser/support/until.js';
import { Program } from './processes.js';

const PREFERENCES = {
  // The recommended preferences of remote control turn most connections of Firefox itself off.
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,',
  'toolkit.telemetry.reportingpolicy.firstRun': false,
  'browser.startup.page': 0,
};

export class Firefox {
  static engine = 'Firefox';

  #program;
  #socket;
  #commands = new Map();
  #lastId = 0;

  /** Starts Firefox with the profile in `folder`, and with more preferences. */
  static async start(folder, preferences = {}) {
    const browser = new Firefox();
    const lines = Object.entries({ ...PREFERENCES, ...preferences }).map(
      ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
    );
    writeFileSync(path.join(folder, 'user.js'), lines.join(''));
    const program = new Program(
      process.env.FIREFOX ?? 'firefox-esr',
      ['--headless', '--no-remote', '--profile', folder, '--remote-debugging-port=0', 'about:blank'],
      { env: { HOME: folder, XDG_CONFIG_HOME: folder, XDG_CACHE_HOME: folder, MOZ_CRASHREPORTER_DISABLE: '1' } },
    );
    browser.#program = program;
    const address = await until('Firefox has started', () => {
      program.assertRuns();
      return /WebDriver BiDi listening on (ws:\S+)/.exec(program.output)?.[1];
    });
    await browser.#connect(`${address}/session`);
    await browser.#send('session.new', { capabilities: { alwaysMatch: { acceptInsecureCerts: true } } });
    return browser;
  }

  async #connect(address) {
    this.#socket = new WebSocket(address);
    this.#socket.on('message', (text) => {
      const { id, type, result, error, message } = JSON.parse(text);
      const command = this.#commands.get(id);
      this.#commands.delete(id);
      if (type === 'success') command?.resolve(result);
      else command?.reject(new Error(`${error}: ${message}`));
    });
    const fail = (reason) => {
      this.#commands.forEach(({ reject }) => reject(new Error(`the connection to Firefox ended: ${reason}`)));
      this.#commands.clear();
    };
    this.#socket.on('close', fail);
    this.#socket.on('error', fail);
    await new Promise((resolve, reject) => this.#socket.on('open', resolve).on('error', reject));
  }

  #send(method, params) {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method} takes too long`)), TIMEOUT_MS);
      const settle = (settled) => (value) => {
        clearTimeout(timer);
        settled(value);
      };
      this.#commands.set(id, { resolve: settle(resolve), reject: settle(reject) });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  /** Opens a tab, at `url`. */
  async open(url) {
    const { context } = await this.#send('browsingContext.create', { type: 'tab' });
    const tab = {
      navigate: async (url) => {
        await this.#send('browsingContext.navigate', { context, url, wait: 'complete' });
      },
      evaluate: (work, ...args) => this.#call(context, work, args),
      click: (find, ...args) => this.#call(context, `(...args) => (${find})(...args).click()`, args),
      back: () => this.#send('browsingContext.traverseHistory', { context, delta: -1 }),
      cookies: () => this.#cookies(context),
      close: () => this.#send('browsingContext.close', { context }),
    };
    if (url) await tab.navigate(url);
    return tab;
  }

  /** Calls a function in the page with values that JSON can express, and returns its value. */
  async #call(context, work, args) {
    const { type, result, exceptionDetails } = await this.#send('script.callFunction', {
      functionDeclaration: `async (args) => JSON.stringify(await (${work})(...JSON.parse(args)))`,
      arguments: [{ type: 'string', value: JSON.stringify(args) }],
      target: { context },
      awaitPromise: true,
      userActivation: true,
    });
    if (type !== 'success') throw new Error(exceptionDetails.text);
    return result.type === 'string' ? JSON.parse(result.value) : undefined;
  }

  async #cookies(context) {
    const { cookies } = await this.#send('storage.getCookies', { partition: { type: 'context', context } });
    return cookies.map(({ name, value, httpOnly, secure, sameSite, domain, path, expiry }) => ({
      name,
      value: value.value,
      httpOnly,
      secure,
      sameSite: sameSite.toLowerCase(),
      domain,
      path,
      expiry,
    }));
  }

  /** Quits as a user does, so that the profile is written. */
  async quit() {
    await this.#send('browser.close', {}).catch(() => {});
    await this.#program.ended();
  }

  kill() {
    return this.#program.kill();
  }
}
