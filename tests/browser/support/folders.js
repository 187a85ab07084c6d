// Folders of the tests, which are removed when the tests end, also after an error or a signal.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const folders = new Set();
process.on('exit', () => folders.forEach(removeFolder));

export function makeFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'browser-tests-'));
  folders.add(folder);
  return folder;
}

export function removeFolder(folder) {
  folders.delete(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
