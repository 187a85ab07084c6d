// Chromium: where it is, how it starts, and the folders it leaves nothing in.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';

/** How long anything may take that a test waits for. */
export const PATIENCE_MS = 15_000;

/** Folders that go when this process does, however it ends. */
const folders = new Set();
process.on('exit', () => folders.forEach(remove));

function remove(folder) {
  folders.delete(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

function makeFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'browser-tests-'));
  folders.add(folder);
  return folder;
}

let home;

function options() {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  if (!existsSync(executablePath)) {
    throw new Error(`no ${executablePath}: install Chromium, or say in CHROMIUM where it is`);
  }
  home ??= makeFolder();
  return {
    executablePath,
    // Crash reports and caches go there, whatever the profile.
    env: { ...process.env, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home },
    // Its sandbox refuses to work for root.
    chromiumSandbox: process.getuid?.() !== 0,
    args: [
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
    // People's browsers have it, so what it shows is part of what is tested.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  };
}

export function launch() {
  return chromium.launch(options());
}

/**
 * Calls `work` with a function that opens a browser. What one stores is there in the next one, until
 * `work` is done.
 */
export async function withProfile(work) {
  const profile = makeFolder();
  const opened = [];
  const open = async () => {
    const context = await chromium.launchPersistentContext(profile, options());
    opened.push(context);
    context.setDefaultTimeout(PATIENCE_MS);
    return context;
  };
  try {
    return await work(open);
  } finally {
    // Closing one again does nothing.
    for (const context of opened) await context.close();
    remove(profile);
  }
}
