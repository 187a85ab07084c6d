// Programs of the tests, which are stopped when the tests end, also after an error or a signal.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

const STOP_MS = 10_000;

const groups = new Set();
// First, because programs write to the folders that are removed then.
process.prependListener('exit', () => groups.forEach(killGroup));
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]]) {
  process.once(signal, () => process.exit(code));
}

function killGroup(child) {
  groups.delete(child);
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // The group has ended.
  }
}

/** A program in a process group of its own, and what it printed. */
export class Program {
  output = '';
  #child;

  constructor(command, args, { env = {}, stdio = ['ignore', 'pipe', 'pipe'] } = {}) {
    this.command = command;
    this.#child = spawn(command, args, { detached: true, stdio, env: { ...process.env, ...env } });
    groups.add(this.#child);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (this.output += text));
    }
    this.#child.on('error', (error) => (this.output += error));
  }

  get hasEnded() {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Throws if the program has ended. */
  assertRuns() {
    if (this.hasEnded) throw new Error(`${this.command} ended: ${this.output}`);
  }

  /** Waits until the program has ended by itself, and kills what is left of its group. */
  async ended() {
    const timer = setTimeout(() => killGroup(this.#child), STOP_MS);
    if (!this.hasEnded) await once(this.#child, 'exit');
    clearTimeout(timer);
    killGroup(this.#child);
  }

  async kill() {
    const ended = this.hasEnded ? undefined : once(this.#child, 'exit');
    killGroup(this.#child);
    await ended;
  }
}
