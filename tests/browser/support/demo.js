// The demo, examples/accounts, as a process of its own on a free port of this machine.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const START_MS = 15_000;
const STOP_MS = 15_000;

/** Those that run now, so that none outlives the tests, however those end. */
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** What `cargo build --example accounts` built, unless `ACCOUNTS` names another one. */
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

  /** Where it is, without a path: `http://127.0.0.1:41234`. */
  origin;
  /** The address that it listens on, which is not its origin behind a proxy. */
  address;
  /** All that it printed, for whoever has to find out why a test failed. */
  output = '';

  /**
   * Starts it with `settings` and no others, and with several accounts per browser unless they say
   * otherwise.
   */
  static async start(settings = {}) {
    const demo = new Demo();
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('SESSION_')),
    );
    Object.assign(env, { LISTEN: '127.0.0.1:0', SESSION_MULTI: 'on' }, settings);
    const child = spawn(program(), { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
    demo.#child = child;
    running.add(child);
    child.on('exit', () => running.delete(child));

    const address = new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('the demo does not listen')), START_MS);
      const told = (text) => {
        demo.output += text;
        const line = /^listening on (\S+)$/m.exec(demo.output);
        if (line) {
          clearTimeout(late);
          resolve(line[1]);
        }
      };
      child.stdout.setEncoding('utf8').on('data', told);
      child.stderr.setEncoding('utf8').on('data', told);
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

  /** Tells it to stop, as an operator does, and waits until it has. */
  async stop() {
    const child = this.#child;
    if (child.exitCode === null && child.signalCode === null) {
      const stopped = once(child, 'exit');
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      child.kill('SIGTERM');
      await stopped;
      clearTimeout(late);
    }
    if (child.exitCode !== 0) {
      const how = child.exitCode ?? child.signalCode;
      throw new Error(`the demo ended with ${how}, not 0:\n${this.output}`);
    }
  }
}

/** A port of this machine that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
