// Starts Chromium, with folders that are removed when the tests end.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { makeFolder, removeFolder } from './folders.js';
import { TIMEOUT_MS } from './until.js';

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

/** Starts a browser that keeps no data. */
export function launch(launchOptions = options()) {
  return chromium.launch(launchOptions);
}

/** The features with which Chromium on Linux binds sessions to a device, and to a key in a file. */
const DEVICE_BOUND = [
  // The quota, about six proofs in some minutes, is for services whose proofs last for minutes.
  'DeviceBoundSessions:RefreshQuota/false',
  'EnableBoundSessionCredentialsSoftwareKeysForManualTesting',
];

/** The options of a Chromium that binds sessions to a device. For this it must trust `certificate`. */
export function deviceBound(certificate) {
  const { args, env, ...others } = options();
  const features = `--enable-features=${DEVICE_BOUND.join()}`;
  return { ...others, args: [...args, features], env: { ...env, HOME: trusting(certificate) } };
}

/** A home folder whose owner trusts `certificate`, in PEM. */
function trusting(certificate) {
  const home = makeFolder();
  const [database, file] = [path.join(home, '.pki/nssdb'), path.join(home, 'certificate.pem')];
  mkdirSync(database, { recursive: true });
  writeFileSync(file, certificate);
  const certutil = (...args) => execFileSync('certutil', ['-d', `sql:${database}`, ...args]);
  certutil('-N', '--empty-password');
  certutil('-A', '-n', 'tests only', '-t', 'C,,', '-i', file);
  return home;
}

/** Calls `work` with the program, its arguments and its environment, for an empty profile. */
export async function withProgram(work) {
  const { executablePath, args, env, chromiumSandbox } = options();
  const profile = makeFolder();
  const more = [`--user-data-dir=${profile}`, ...(chromiumSandbox ? [] : ['--no-sandbox'])];
  try {
    return await work({ executablePath, args: [...args, ...more], env });
  } finally {
    removeFolder(profile);
  }
}

/**
 * Calls `work` with a function that opens a browser. All of them share one profile, which is removed
 * when `work` is done.
 */
export async function withProfile(work, launchOptions = options()) {
  const profile = makeFolder();
  const opened = [];
  const open = async () => {
    const context = await chromium.launchPersistentContext(profile, launchOptions);
    opened.push(context);
    context.setDefaultTimeout(TIMEOUT_MS);
    return context;
  };
  try {
    return await work(open);
  } finally {
    // Closing a closed one does nothing.
    for (const context of opened) await context.close();
    removeFolder(profile);
  }
}
