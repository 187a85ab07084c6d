import { act, cleanup, renderHook, waitFor } from '@testing-library/react';
import type { ReactNode } from 'react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { FakeServer, tabStorage } from '../testing';
import type { SessionOptions } from './store';
import { SessionProvider, useSession } from './useSession';

let server: FakeServer;

beforeEach(() => {
  server = new FakeServer();
  server.signIn('ada');
  server.signIn('grace');
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

/** Opens a tab. */
async function tab(options: SessionOptions = {}) {
  const all = { fetch: server.fetch, storage: tabStorage(), leave: vi.fn(), ...options };
  const wrapper = ({ children }: { children: ReactNode }) => (
    <SessionProvider options={all}>{children}</SessionProvider>
  );
  const { result } = renderHook(() => useSession(), { wrapper });
  await waitFor(() => expect(result.current.known).toBe(true));
  // The tabs that it told of itself have asked by then.
  await waitFor(() => expect(server.idle).toBe(true));
  return result;
}

type Tab = Awaited<ReturnType<typeof tab>>;

const shown = (at: Tab) => at.current.session?.id;
const shows = (at: Tab, id: string | undefined) => waitFor(() => expect(shown(at)).toBe(id));

describe('answers in any order', () => {
  test('an older answer does not replace a newer one', async () => {
    const here = await tab();
    const release = server.hold();
    const older = here.current.refresh();
    server.active = 'ada';
    await act(here.current.refresh);
    expect(shown(here)).toBe('ada');
    await release();
    await act(() => older);
    expect(shown(here)).toBe('ada');
  });

  test('an answer from before a switch does not undo it', async () => {
    const here = await tab();
    const release = server.hold();
    const before = here.current.refresh();
    // What the tab asks after the switch gets no answer yet.
    const releaseAfter = server.hold();
    await act(() => here.current.switchTo('ada'));
    expect(shown(here)).toBe('ada');
    await release();
    await act(() => before);
    expect(shown(here)).toBe('ada');
    await releaseAfter();
    await shows(here, 'ada');
  });

  test('an older failure says nothing about a newer answer', async () => {
    const here = await tab();
    const release = server.hold();
    server.offline = true;
    const older = here.current.refresh();
    server.offline = false;
    await act(here.current.refresh);
    await release();
    await act(() => older);
    expect(here.current.stale).toBe(false);
  });
});

describe('no answer', () => {
  test('keeps what was known, and is said', async () => {
    const here = await tab();
    server.offline = true;
    await act(here.current.refresh);
    expect([shown(here), here.current.stale]).toEqual(['grace', true]);
    server.offline = false;
    await act(here.current.refresh);
    expect(here.current.stale).toBe(false);
  });

  test('nor is a page of somebody else one', async () => {
    const here = await tab();
    for (const nonsense of ['<!doctype html>', '{}', '{"active":null}', 'null', '{"active":1,"sessions":[]}']) {
      server.nonsense = nonsense;
      await act(here.current.refresh);
      expect([shown(here), here.current.stale]).toEqual(['grace', true]);
    }
  });

  test('keeps nothing beyond its end', async () => {
    const here = await tab();
    server.offline = true;
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2 * 3600 * 1000 });
    await act(here.current.refresh);
    expect([shown(here), here.current.ended]).toEqual([undefined, 'expired']);
  });
});

test('a session that ends while the page is open is noticed without anybody doing anything', async () => {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  const here = await tab();
  server.signIn('grace', Date.now() / 1000 + 120);
  await act(here.current.refresh);
  server.signOut('grace');
  await act(() => vi.advanceTimersByTimeAsync(115_000));
  expect(shown(here)).toBe('grace');
  await act(() => vi.advanceTimersByTimeAsync(10_000));
  expect([shown(here), here.current.ended]).toEqual([undefined, 'expired']);
  expect(here.current.sessions.map(({ id }) => id)).toEqual(['ada']);
});

describe('two tabs', () => {
  test('one follows what the other does', async () => {
    const here = await tab();
    const there = await tab();
    await act(() => there.current.switchTo('ada'));
    await shows(here, 'ada');
    await act(() => there.current.signOut('ada'));
    await shows(here, undefined);
    expect(here.current.ended).toBe('elsewhere');
    await act(() => here.current.switchTo('grace'));
    await shows(there, 'grace');
  });

  test('one that keeps its account names it and does not follow', async () => {
    const here = await tab();
    const there = await tab();
    act(here.current.keepAccount);
    await waitFor(() => expect(server.idle).toBe(true));
    server.requests.length = 0;
    await act(() => there.current.switchTo('ada'));
    // Told by the other tab, it has asked.
    await waitFor(() => expect(server.requests.some(({ named }) => named === 'grace')).toBe(true));
    await waitFor(() => expect(server.idle).toBe(true));
    expect([shown(here), shown(there)]).toEqual(['grace', 'ada']);

    await act(here.current.followBrowser);
    expect(shown(here)).toBe('ada');
  });

  test('one that keeps its account switches for itself alone', async () => {
    const here = await tab();
    act(here.current.keepAccount);
    await act(() => here.current.switchTo('ada'));
    expect([shown(here), here.current.pinned, server.active]).toEqual(['ada', 'ada', 'grace']);
  });
});

describe('a tab that keeps its account', () => {
  test('keeps it over a reload', async () => {
    const storage = tabStorage();
    const here = await tab({ storage });
    act(here.current.keepAccount);
    server.active = 'ada';
    const again = await tab({ storage });
    expect([shown(again), again.current.pinned]).toEqual(['grace', 'grace']);
  });

  test('takes no answer to what it asked before for one about itself', async () => {
    const here = await tab();
    server.active = 'ada';
    const release = server.hold();
    const before = here.current.refresh();
    server.hold();
    act(here.current.keepAccount);
    await release();
    await act(() => before);
    expect(shown(here)).toBe('grace');
  });

  test('shows nobody in its place when it is refused', async () => {
    const here = await tab();
    act(here.current.keepAccount);
    server.signOut('grace');
    server.active = 'ada';
    const release = server.hold();
    // What a request of the page does that got a 409: no answer of the list is needed.
    const refused = here.current.refused('grace');
    await shows(here, undefined);
    await release();
    await act(() => refused);
    expect([shown(here), here.current.pinned, here.current.ended]).toEqual([undefined, 'grace', 'elsewhere']);
    await act(here.current.followBrowser);
    expect(shown(here)).toBe('ada');
  });

  test('believes no answer for another account', async () => {
    const here = await tab();
    act(here.current.keepAccount);
    server.ignoresNames = true;
    server.active = 'ada';
    await act(here.current.refresh);
    expect(shown(here)).toBe(undefined);
  });

  test('is one no more once that has signed out here', async () => {
    const here = await tab();
    act(here.current.keepAccount);
    await act(() => here.current.signOut('grace'));
    expect([shown(here), here.current.pinned, here.current.ended]).toEqual([undefined, null, null]);
  });
});

describe('signing out', () => {
  test('asks for JSON and goes where the answer says', async () => {
    const leave = vi.fn();
    const here = await tab({ leave });
    await act(() => here.current.signOut('grace'));
    const { path, body } = server.requests.find(({ path }) => path === '/sign-out') ?? {};
    expect([path, body]).toEqual(['/sign-out', { session_id: 'grace' }]);
    expect(leave.mock.calls.map(([url]) => String(url))).toEqual([`${location.origin}/sign-in/choose`]);
    expect(here.current.sessions.map(({ id }) => id)).toEqual(['ada']);
  });

  test('of all leaves nobody', async () => {
    const here = await tab();
    server.hold();
    await act(here.current.signOutOfAll);
    expect(server.requests.find(({ path }) => path === '/sign-out')?.body).toEqual({ scope: 'browser' });
    expect([shown(here), here.current.sessions]).toEqual([undefined, []]);
  });

  test.each(['javascript:alert(1)', '', '/'])('stays where it is for %j', async (redirect) => {
    const leave = vi.fn();
    const here = await tab({ leave });
    server.redirect = redirect === '/' ? location.pathname : redirect;
    await act(() => here.current.signOut('ada'));
    expect(leave).not.toHaveBeenCalled();
    expect(shown(here)).toBe('grace');
  });

  test('shows nothing of the account even if nothing more is answered', async () => {
    const here = await tab();
    server.hold();
    await act(() => here.current.signOut('grace'));
    expect(shown(here)).toBe(undefined);
  });

  test('whose answer is lost asks what has become of it', async () => {
    const leave = vi.fn();
    const here = await tab({ leave });
    const release = server.hold('/sign-out');
    const signedOut = here.current.signOut('grace');
    server.loses = '/sign-out';
    await release();
    await act(() => signedOut);
    expect(here.current.problem).toContain('did not answer');
    await shows(here, undefined);
    expect(leave).not.toHaveBeenCalled();
  });
});

test('switching to an account that is gone changes nothing and says so', async () => {
  const here = await tab();
  server.signOut('ada');
  await act(() => here.current.switchTo('ada'));
  expect(here.current.problem).toContain('not signed in');
  await waitFor(() => expect(here.current.sessions.map(({ id }) => id)).toEqual(['grace']));
  expect(shown(here)).toBe('grace');
  act(here.current.dismissProblem);
  expect(here.current.problem).toBeNull();
});

test('a second change waits for the first', async () => {
  const here = await tab();
  const release = server.hold('/session/switch');
  const first = here.current.switchTo('ada');
  await act(() => here.current.signOut('grace'));
  await release();
  await act(() => first);
  expect(server.requests.some(({ path }) => path === '/sign-out')).toBe(false);
  expect(shown(here)).toBe('ada');
});

test('a page from the memory of the back button shows nobody before it has asked', async () => {
  const here = await tab();
  server.signOut('grace');
  const release = server.hold();
  const restored = Object.assign(new Event('pageshow'), { persisted: true });
  act(() => void window.dispatchEvent(restored));
  expect([here.current.known, shown(here), here.current.sessions]).toEqual([false, undefined, []]);
  await release();
  await waitFor(() => expect(here.current.known).toBe(true));
  expect(shown(here)).toBe(undefined);
});
