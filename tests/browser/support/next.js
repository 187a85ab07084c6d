// The Next.js application, examples/next, in front of a demo. Browsers use the origin of the application.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';

import { Demo, freePort } from './demo.js';

const FOLDER = path.resolve(import.meta.dirname, '../../../examples/next');
const START_MS = 30_000;

/** The running processes, which are stopped when the tests end, however they end. */
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export class NextApp {
  #demo;
  #child;
  #printed = '';
  origin;

  static async start() {
    if (!existsSync(path.join(FOLDER, '.next/BUILD_ID'))) {
      throw new Error(`${FOLDER} is not built: npm ci && npm run build`);
    }
    const app = new NextApp();
    const port = await freePort();
    app.origin = `http://127.0.0.1:${port}`;
    app.#demo = await Demo.start({ SESSION_ORIGIN: app.origin });
    const env = { ...process.env, SESSION_SERVICE: app.#demo.address, NEXT_TELEMETRY_DISABLED: '1' };
    const args = ['node_modules/next/dist/bin/next', 'start', '-H', '127.0.0.1', '-p', `${port}`];
    app.#child = spawn(process.execPath, args, { cwd: FOLDER, env, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(app.#child);
    app.#child.on('exit', () => running.delete(app.#child));
    try {
      await app.#untilReady();
    } catch (error) {
      await app.stop();
      throw error;
    }
    return app;
  }

  #untilReady() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`Next.js does not start: ${this.#printed}`)), START_MS);
      const print = (text) => {
        this.#printed += text;
        if (!/Ready in/.test(this.#printed)) return;
        clearTimeout(timer);
        resolve();
      };
      this.#child.stdout.setEncoding('utf8').on('data', print);
      this.#child.stderr.setEncoding('utf8').on('data', print);
      this.#child.on('error', reject);
      this.#child.on('exit', (code) => reject(new Error(`Next.js stopped (${code}): ${this.#printed}`)));
    });
  }

  /** All that the application and the demo printed. */
  get output() {
    return this.#printed + this.#demo.output;
  }

  url(path) {
    return this.origin + path;
  }

  async stop() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const stopped = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await stopped;
    }
    await this.#demo.stop();
  }
}
