// The example examples/oidc with a provider of its own. The application is on 127.0.0.1, the provider on
// localhost: for a browser these are different sites.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';

import { freePort } from './demo.js';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const PROVIDER = path.join(ROOT, 'examples/oidc/provider');
const START_MS = 30_000;
const STOP_MS = 15_000;

/** The running processes, which are stopped when the tests end, however they end. */
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** The program that was built in `examples/oidc`, unless `OIDC_EXAMPLE` names another one. */
function program() {
  const target = path.resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target');
  const file = process.env.OIDC_EXAMPLE ?? path.join(target, 'debug/oidc');
  if (!existsSync(file)) {
    throw new Error(`no ${file}: cargo build --manifest-path examples/oidc/Cargo.toml --target-dir target`);
  }
  return file;
}

export class OidcExample {
  #children = [];
  origin;
  /** The origin of the provider. */
  provider;
  /** All that both processes printed. */
  output = '';

  /** Starts both, the application with `settings`. */
  static async start(settings = {}) {
    const example = new OidcExample();
    const [port, providerPort] = [await freePort(), await freePort()];
    example.origin = `http://127.0.0.1:${port}`;
    example.provider = `http://localhost:${providerPort}`;
    try {
      const client = { PORT: `${providerPort}`, CLIENT_ORIGIN: example.origin };
      await example.#run(process.execPath, ['provider.js'], PROVIDER, client);
      const application = { LISTEN: `127.0.0.1:${port}`, ISSUER: example.provider, ...settings };
      await example.#run(program(), [], ROOT, application);
    } catch (error) {
      await example.stop();
      throw error;
    }
    return example;
  }

  /** Runs a process until it prints its address. */
  #run(file, args, cwd, settings) {
    const env = { ...process.env, ...settings };
    const child = spawn(file, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    running.add(child);
    child.on('exit', () => running.delete(child));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${file} does not listen: ${this.output}`)), START_MS);
      let printed = '';
      const read = (text) => {
        printed += text;
        this.output += text;
        if (!/^listening on \S+$/m.test(printed)) return;
        clearTimeout(timer);
        resolve();
      };
      child.stdout.setEncoding('utf8').on('data', read);
      child.stderr.setEncoding('utf8').on('data', read);
      child.on('error', reject);
      child.on('exit', (code) => reject(new Error(`${file} stopped (${code}): ${this.output}`)));
    });
  }

  url(path) {
    return this.origin + path;
  }

  async stop() {
    for (const child of this.#children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const stopped = once(child, 'exit');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      child.kill('SIGTERM');
      await stopped;
      clearTimeout(timer);
    }
  }
}
