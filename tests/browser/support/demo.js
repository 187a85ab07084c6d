// The demo, examples/accounts, as a process of its own on a free port of this machine.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const START_MS = 15_000;
const STOP_MS = 15_000;

/** The running processes, which are stopped when the tests end, however they end. */
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** The program that `cargo build --example accounts` built, unless `ACCOUNTS` names another one. */
function program() {
  const target = path.resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target');
  const file = process.env.ACCOUNTS ?? path.join(target, 'debug/examples/accounts');
  if (!existsSync(file)) {
    throw new Error(`no ${file}: cargo build --example accounts`);
  }
  return file;
}

export class Demo {
  #child;

  /** The origin that browsers use: `http://127.0.0.1:41234`. */
  origin;
  /** The address that the demo listens on, which differs from the origin behind a proxy. */
  address;
  /** All that the demo printed, which is added to the error of a failed test. */
  output = '';

  /**
   * Starts the demo with `settings` and no others. Unless they say otherwise, a browser may have several
   * accounts, and there is no store.
   */
  static async start(settings = {}) {
    const demo = new Demo();
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('SESSION_')),
    );
    // The cookies of production, although the tests use plain HTTP.
    Object.assign(
      env,
      {
        LISTEN: '127.0.0.1:0',
        SESSION_MULTI: 'on',
        SESSION_INSECURE_COOKIES: 'off',
        SESSION_STORE: 'none',
      },
      settings,
    );
    const child = spawn(program(), { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
    demo.#child = child;
    running.add(child);
    child.on('exit', () => running.delete(child));

    const address = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('the demo does not listen')), START_MS);
      const read = (text) => {
        demo.output += text;
        const line = /^listening on (\S+)$/m.exec(demo.output);
        if (line) {
          clearTimeout(timer);
          resolve(line[1]);
        }
      };
      child.stdout.setEncoding('utf8').on('data', read);
      child.stderr.setEncoding('utf8').on('data', read);
      child.on('error', reject);
      child.on('exit', (code) => reject(new Error(`the demo stopped (${code}): ${demo.output}`)));
    });
    try {
      demo.address = await address;
      demo.origin = settings.SESSION_ORIGIN ?? demo.address;
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
    return demo;
  }

  url(path) {
    return this.origin + path;
  }

  /** Sends SIGTERM, as an operator does, and waits until the demo has ended. */
  async stop() {
    const child = this.#child;
    if (child.exitCode === null && child.signalCode === null) {
      const stopped = once(child, 'exit');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      child.kill('SIGTERM');
      await stopped;
      clearTimeout(timer);
    }
    if (child.exitCode !== 0) {
      const status = child.exitCode ?? child.signalCode;
      throw new Error(`the demo ended with ${status}, not 0:\n${this.output}`);
    }
  }
}

/** A port of this machine that no process listens on. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
