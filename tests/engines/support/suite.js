// Tests with a browser, its profile and a demo, which are removed after each test.

import { describe, test } from 'node:test';

import { makeFolder, removeFolder } from '../../browser/support/folders.js';
import { Site } from '../../browser/support/site.js';
import { User } from './user.js';

/** The time limit of one test. */
const TEST_MS = 90_000;

/**
 * A group of tests for each engine. `define` is called with the function that defines a test,
 * `(title, run, settings)`, and with the engine. `run` is called with a user, and with a function that
 * quits the browser, starts it again with its profile, and returns its user. `settings` are the demo's.
 */
export function withEngines(engines, define) {
  for (const { Engine, scheme, host, preferences, name = Engine.engine } of engines) {
    describe(name, { concurrency: 1 }, () => {
      define((title, run, settings = {}) => {
        test(title, { timeout: TEST_MS }, async () => {
          const folder = makeFolder();
          let browser;
          const site = await Site.start(scheme, host, settings);
          const start = async () => {
            browser = await Engine.start(folder, preferences);
            return new User(browser, site);
          };
          const restart = async () => {
            await browser.quit();
            return start();
          };
          try {
            await run(await start(), restart);
          } catch (error) {
            const requests = site.exchanges.map(({ method, path, status }) => `${method} ${path} ${status}`);
            error.stack = `${error.stack}\n--- requests\n${requests.join('\n')}\n--- output\n${site.output}`;
            throw error;
          } finally {
            await browser?.kill();
            removeFolder(folder);
            await site.stop();
          }
        });
      }, { Engine, scheme, host });
    });
  }
}
