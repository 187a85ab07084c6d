// WebKitGTK, through WebDriver, on a display of its own.

import path from 'node:path';

import { freePort } from '../../browser/support/demo.js';
import { TIMEOUT_MS, until } from '../../browser/support/until.js';
import { Program } from './processes.js';

const APP = path.join(import.meta.dirname, 'webkit_app.py');

/** The name of the property that holds an element in WebDriver's JSON. */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

export class WebKit {
  static engine = 'WebKitGTK';

  #display;
  #driver;
  #session;
  #tab;

  /** Starts WebKitGTK with the cookies in `folder`. */
  static async start(folder) {
    const browser = new WebKit();
    const display = new Program('Xvfb', ['-displayfd', '1', '-nolisten', 'tcp', '-screen', '0', '1024x768x24']);
    browser.#display = display;
    try {
      const number = await until('the display has started', () => {
        display.assertRuns();
        return /^(\d+)$/m.exec(display.output)?.[1];
      });
      await browser.#startDriver(`:${number}`, folder);
    } catch (error) {
      await browser.kill();
      throw error;
    }
    return browser;
  }

  async #startDriver(display, folder) {
    const port = await freePort();
    const driver = new Program('WebKitWebDriver', [`--port=${port}`, '--host=127.0.0.1'], {
      env: {
        DISPLAY: display,
        HOME: folder,
        XDG_CONFIG_HOME: folder,
        XDG_CACHE_HOME: folder,
        XDG_DATA_HOME: folder,
        XDG_RUNTIME_DIR: folder,
        DBUS_SESSION_BUS_ADDRESS: 'disabled:',
        GIO_USE_VFS: 'local',
        GSETTINGS_BACKEND: 'memory',
        NO_AT_BRIDGE: '1',
        WEBKIT_DISABLE_COMPOSITING_MODE: '1',
        // WebKit's sandbox needs user namespaces, which containers forbid.
        WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1',
      },
    });
    this.#driver = driver;
    this.#session = `http://127.0.0.1:${port}/session`;
    await until('WebKitWebDriver listens', () => {
      driver.assertRuns();
      return fetch(`http://127.0.0.1:${port}/status`).then(({ ok }) => ok, () => false);
    });
    const { sessionId } = await this.#send('POST', '', {
      capabilities: {
        alwaysMatch: {
          acceptInsecureCerts: true,
          timeouts: { script: TIMEOUT_MS, pageLoad: TIMEOUT_MS },
          'webkitgtk:browserOptions': { binary: APP, args: [folder] },
        },
      },
    });
    this.#session += `/${sessionId}`;
    this.#tab = await this.#send('GET', '/window');
  }

  async #send(method, command, body) {
    const response = await fetch(this.#session + command, {
      method,
      body: body && JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
      signal: AbortSignal.timeout(2 * TIMEOUT_MS),
    });
    const { value } = await response.json();
    if (!response.ok) throw new Error(`${method} ${command}: ${value.error}: ${value.message}`);
    return value;
  }

  /** Opens a tab, at `url`. */
  async open(url) {
    const { handle } = await this.#send('POST', '/window/new', { type: 'tab' });
    const inTab = async (method, command, body) => {
      if (this.#tab !== handle) {
        await this.#send('POST', '/window', { handle });
        this.#tab = handle;
      }
      return this.#send(method, command, body);
    };
    const tab = {
      navigate: (url) => inTab('POST', '/url', { url }),
      evaluate: async (work, ...args) => {
        const script = `const [args, done] = arguments;
          (async () => JSON.stringify(await (${work})(...JSON.parse(args))))()
            .then((value) => done({ value }), (error) => done({ error: String(error) }));`;
        const { value, error } = await inTab('POST', '/execute/async', { script, args: [JSON.stringify(args)] });
        if (error) throw new Error(error);
        return value && JSON.parse(value);
      },
      click: async (find, ...args) => {
        const script = `return (${find})(...JSON.parse(arguments[0]));`;
        const element = await inTab('POST', '/execute/sync', { script, args: [JSON.stringify(args)] });
        await inTab('POST', `/element/${element[ELEMENT]}/click`, {});
      },
      back: () => inTab('POST', '/back', {}),
      cookies: async () => {
        const cookies = await inTab('GET', '/cookie');
        return cookies.map((cookie) => ({ ...cookie, sameSite: cookie.sameSite.toLowerCase() }));
      },
      close: async () => {
        const [remaining] = await inTab('DELETE', '/window');
        await this.#send('POST', '/window', { handle: remaining });
        this.#tab = remaining;
      },
    };
    if (url) await tab.navigate(url);
    return tab;
  }

  async quit() {
    await this.#send('DELETE', '').catch(() => {});
    await this.kill();
  }

  async kill() {
    await this.#driver?.kill();
    await this.#display?.kill();
  }
}
