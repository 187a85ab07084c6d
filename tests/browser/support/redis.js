// A private Redis that can fail: it is killed and started again with the data that it had acknowledged.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { freePort } from './demo.js';
import { makeFolder, removeFolder } from './folders.js';
import { TIMEOUT_MS } from './until.js';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export class Redis {
  #child;
  #folder = makeFolder();
  #port;
  url;

  static async start() {
    const redis = new Redis();
    redis.#port = await freePort();
    redis.url = `redis://127.0.0.1:${redis.#port}`;
    await redis.run();
    return redis;
  }

  /** Runs the server, and waits until it accepts connections. */
  async run() {
    const options = {
      bind: '127.0.0.1',
      port: `${this.#port}`,
      dir: this.#folder,
      save: '',
      appendonly: 'yes',
      // Data that it has written survives the end of its process.
      appendfsync: 'no',
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    const child = spawn(process.env.REDIS_SERVER ?? 'redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    running.add(child);
    child.on('exit', () => running.delete(child));
    let printed = '';
    await new Promise((resolve, reject) => {
      const fail = (reason) => reject(new Error(`Redis ${reason}: ${printed}`));
      const timer = setTimeout(() => fail('does not start'), TIMEOUT_MS);
      child.stdout.setEncoding('utf8').on('data', (text) => {
        printed += text;
        if (!printed.includes('eady to accept connections')) return;
        clearTimeout(timer);
        resolve();
      });
      child.on('error', (error) => fail(error));
      child.on('exit', () => fail('ended'));
    });
  }

  async kill() {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  /** Kills the server and removes its data. */
  async remove() {
    if (running.has(this.#child)) await this.kill();
    removeFolder(this.#folder);
  }
}
