import { afterEach, vi } from 'vitest';

import { SessionClient, type SessionClientOptions } from '../src/index.js';
import { type FakeServer, storage } from './fake-server.js';

const opened: (() => void)[] = [];

afterEach(() => {
  for (const close of opened.splice(0)) close();
  vi.useRealTimers();
});

/** One tab of the browser whose accounts `server` has. */
export async function openTab(server: FakeServer, options: SessionClientOptions = {}) {
  const navigate = vi.fn<(url: URL) => void>();
  const client = new SessionClient({ fetch: server.fetch, storage: storage(), navigate, ...options });
  opened.push(client.start());
  await server.idle();
  return {
    client,
    /** The id of the session that the tab shows. */
    shown: () => client.getState().session?.id,
    state: client.getState,
    /** The pages that the tab was sent to. */
    visited: () => navigate.mock.calls.map(([url]) => url.href.replace(location.origin, '')),
  };
}

export type Tab = Awaited<ReturnType<typeof openTab>>;

/** Waits until `tab` shows session `id`. */
export function shows(tab: Tab, id: string | undefined): Promise<void> {
  return vi.waitFor(() => {
    if (tab.shown() !== id) throw new Error(`the tab shows ${tab.shown()}, not ${id}`);
  });
}

/** The user looks at the page again. */
export function comeBack(): void {
  window.dispatchEvent(new Event('focus'));
}

/** Moves the clock by hand from now on. */
export function fakeClock(): void {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] });
}

/** Moves the clock, and waits for what that leads to. */
export async function advance(server: FakeServer, seconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(seconds * 1000);
  await server.idle();
}
