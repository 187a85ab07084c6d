// Starts Chromium, with folders that are removed when the tests end.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { TIMEOUT_MS } from './until.js';

/** Folders to remove when this process ends, however it ends. */
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
    throw new Error(`no ${executablePath}: install Chromium, or set CHROMIUM to its path`);
  }
  home ??= makeFolder();
  return {
    executablePath,
    // For crash reports and caches, which Chromium does not keep in the profile.
    env: { ...process.env, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home },
    // Chromium's sandbox does not work for root.
    chromiumSandbox: process.getuid?.() !== 0,
    args: [
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
    ],
    // Users' browsers have this cache, so the tests need it as well.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  };
}

export function launch() {
  return chromium.launch(options());
}

/** Calls `work` with the program, its arguments and its environment, for an empty profile. */
export async function withProgram(work) {
  const { executablePath, args, env, chromiumSandbox } = options();
  const profile = makeFolder();
  const more = [`--user-data-dir=${profile}`, ...(chromiumSandbox ? [] : ['--no-sandbox'])];
  try {
    return await work({ executablePath, args: [...args, ...more], env });
  } finally {
    remove(profile);
  }
}

/**
 * Calls `work` with a function that opens a browser. All of them share one profile, which is removed
 * when `work` is done.
 */
export async function withProfile(work) {
  const profile = makeFolder();
  const opened = [];
  const open = async () => {
    const context = await chromium.launchPersistentContext(profile, options());
    opened.push(context);
    context.setDefaultTimeout(TIMEOUT_MS);
    return context;
  };
  try {
    return await work(open);
  } finally {
    // Closing a closed one does nothing.
    for (const context of opened) await context.close();
    remove(profile);
  }
}
