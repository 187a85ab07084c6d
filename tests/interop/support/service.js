// Starts the service under test, `service.rs`, and runs `interop.py`.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';

const HERE = path.resolve(import.meta.dirname, '..');
const TARGET = path.resolve(HERE, '../..', process.env.CARGO_TARGET_DIR ?? 'target');

/** Starts the service; `stop` ends it. */
export async function startService(issuers) {
  const file = path.join(TARGET, 'debug/examples/interop');
  if (!existsSync(file)) {
    throw new Error(`no ${file}: cargo build --example interop --features jwks-http`);
  }
  const env = { ...process.env, INTEROP_ISSUERS: issuers.join(',') };
  const child = spawn(file, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the service ended with ${code}`);
  });
  ended.catch(() => {});
  const [line] = await Promise.race([once(lines, 'line'), ended]);
  const stop = async () => {
    child.stdin.end();
    await ended.catch(() => {});
  };
  return { ...JSON.parse(line), stop };
}

/** Runs a command of `interop.py` and returns its output. */
export async function python(command, request) {
  const program = process.env.PYTHON ?? 'python3';
  const child = spawn(program, [path.join(HERE, 'interop.py'), command], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(JSON.stringify(request));
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
  const [code] = await once(child, 'close');
  if (code !== 0) {
    throw new Error(`interop.py ${command} ended with ${code}`);
  }
  return JSON.parse(output);
}
