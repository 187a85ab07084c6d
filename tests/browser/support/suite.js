// Tests with a demo and a browser. Each has its own browser context, and fails when a page of it writes
// an unexpected error or warning to its console.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { launch } from './browser.js';
import { Demo } from './demo.js';
import { TIMEOUT_MS } from './until.js';
import { Visitor } from './visitor.js';

/** The time limit of one test. */
const TEST_MS = 90_000;

/**
 * A group of tests of a demo with `settings`. `define` is called with the function that defines a test:
 * `(name, run, options)`. `run` is called with a `Visitor` whose browser context has `options`.
 */
export function withDemo(name, settings, define) {
  withServer(name, () => Demo.start(settings), define);
}

/**
 * The same for the server that `start` returns, which has `origin`, `output`, `url(path)` and `stop()`, and
 * for the browser that `open` returns.
 */
export function withServer(name, start, define, open = launch) {
  // One test after the other, even if several groups run at the same time.
  describe(name, { timeout: 10 * TEST_MS, concurrency: 1 }, () => {
    let browser;
    let demo;
    before(async () => {
      [browser, demo] = await Promise.all([open(), start()]);
    });
    after(async () => {
      await browser?.close();
      await demo?.stop();
    });

    define((name, run, options = {}) => {
      test(name, { timeout: TEST_MS }, async (t) => {
        const context = await browser.newContext(options);
        context.setDefaultTimeout(TIMEOUT_MS);
        const visitor = new Visitor(context, demo);
        // No page has an icon, and without the policy the browser requests one.
        if (options.bypassCSP) visitor.expect(/favicon\.ico/);
        const printed = demo.output.length;
        try {
          await run(visitor);
          assert.deepEqual(visitor.consoleErrors, [], 'a page wrote to its console');
        } catch (error) {
          const pages = context.pages().map((page) => `page: ${page.url()}`);
          const errors = visitor.consoleErrors.map((error) => `console: ${error}`);
          const output = demo.output.slice(printed) || '(nothing)\n';
          const state = [...pages, ...errors, `the demo printed: ${output}`].join('\n');
          // The runner prints the stack, but no other property.
          error.stack = `${error.stack ?? error}\n--- state when the test failed\n${state}`;
          throw error;
        } finally {
          await context.close();
        }
      });
    });
  });
}
