// Chromium: where it is, how it starts, and the folders it leaves nothing in.

import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';

/** How long anything may take that a test waits for. */
export const PATIENCE_MS = 15_000;

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

function options() {
  const executablePath = process.env.CHROMIUM ?? PLACES.find((place) => existsSync(place));
  if (!executablePath || !existsSync(executablePath)) {
    throw new Error(`no ${executablePath ?? 'Chromium'}: install it, or say in CHROMIUM where it is`);
  }
  return {
    executablePath,
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

/** A browser that keeps what it stores in a folder of its own, until it is closed for good. */
export async function withProfile(work) {
  const profile = await mkdtemp(path.join(tmpdir(), 'browser-tests-'));
  const open = async () => {
    const context = await chromium.launchPersistentContext(profile, options());
    context.setDefaultTimeout(PATIENCE_MS);
    return context;
  };
  try {
    return await work(open);
  } finally {
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
