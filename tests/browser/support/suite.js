// Tests with a demo and a browser: each has a browser context of its own, and fails when a page of it
// complains on its console.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { launch, PATIENCE_MS } from './browser.js';
import { Demo } from './demo.js';
import { Visitor } from './visitor.js';

/** A test that takes longer hangs. */
const TEST_MS = 90_000;

/**
 * A group of tests about a demo with `settings`. `define` is called with the function that defines a
 * test: `(name, run, options)`. `run` is called with a `Visitor` whose browser context has `options`.
 */
export function withDemo(name, settings, define) {
  withServer(name, () => Demo.start(settings), define);
}

/** The same about what `start` starts: something with `origin`, `output`, `url(path)` and `stop()`. */
export function withServer(name, start, define) {
  describe(name, { timeout: 10 * TEST_MS }, () => {
    let browser;
    let demo;
    before(async () => {
      [browser, demo] = await Promise.all([launch(), start()]);
    });
    after(async () => {
      await browser?.close();
      await demo?.stop();
    });

    define((name, run, options = {}) => {
      test(name, { timeout: TEST_MS }, async (t) => {
        const context = await browser.newContext(options);
        context.setDefaultTimeout(PATIENCE_MS);
        const visitor = new Visitor(context, demo);
        // There is none, and only the policy keeps browsers from asking.
        if (options.bypassCSP) visitor.expect(/favicon\.ico/);
        const printed = demo.output.length;
        try {
          await run(visitor);
          assert.deepEqual(visitor.complaints, [], 'a page complained on its console');
        } catch (error) {
          const pages = context.pages().map((page) => `page: ${page.url()}`);
          const said = visitor.complaints.map((complaint) => `console: ${complaint}`);
          const output = demo.output.slice(printed) || '(nothing)\n';
          const scene = [...pages, ...said, `the demo printed: ${output}`].join('\n');
          // The runner prints the stack and leaves properties out.
          error.stack = `${error.stack ?? error}\n--- where it was\n${scene}`;
          throw error;
        } finally {
          await context.close();
        }
      });
    });
  });
}

/** Waits until `probe` gives something true, and gives that. */
export async function until(what, probe) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await probe();
    if (found) return found;
    assert.ok(Date.now() < end, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
