import { beforeEach, describe, expect, test, vi } from 'vitest';

import { SessionClient } from '../src/index.js';
import { FakeServer, storage } from './fake-server.js';
import { comeBack, openTab, shows } from './tab.js';

let server: FakeServer;

beforeEach(() => {
  server = new FakeServer();
  server.signIn('ada');
  server.signIn('grace');
});

describe('two tabs', () => {
  test('follow each other', async () => {
    const here = await openTab(server);
    const there = await openTab(server);
    await there.client.setActive({ session: 'ada' });
    await shows(here, 'ada');
    await there.client.signOut();
    await shows(here, undefined);
    expect(here.state().endReason).toBe('signed-out-elsewhere');
    await here.client.setActive({ session: 'grace' });
    await shows(there, 'grace');
    expect(there.state().endReason).toBeNull();
  });

  test('learn of a sign-in by the page that follows it', async () => {
    const here = await openTab(server);
    server.signIn('linus');
    await openTab(server);
    await shows(here, 'linus');
  });

  test('learn of a change that another tab found when the user came back to it', async () => {
    const here = await openTab(server);
    const there = await openTab(server, { fetch: server.fetch });
    server.active = 'ada';
    await there.client.refresh();
    await shows(here, 'ada');
  });

  test('send no request if nothing has changed', async () => {
    const here = await openTab(server);
    await openTab(server);
    await openTab(server);
    await here.client.refresh();
    await new Promise((done) => setTimeout(done, 200));
    expect(server.count()).toBe(4);
  });

  test('of different applications on one origin are independent', async () => {
    const other = new FakeServer('/other');
    other.signIn('linus');
    const here = await openTab(server);
    const there = await openTab(other, { basePath: '/other' });
    await there.client.signOut();
    await new Promise((done) => setTimeout(done, 200));
    expect([here.shown(), server.count()]).toEqual(['grace', 1]);
  });
});

describe('a pinned tab', () => {
  test('names its session and does not follow', async () => {
    const here = await openTab(server);
    const there = await openTab(server);
    await here.client.pinTab();
    server.requests.length = 0;
    await there.client.setActive({ session: 'ada' });
    await vi.waitFor(() => expect(server.requests.some(({ named }) => named === 'grace')).toBe(true));
    await server.idle();
    expect([here.shown(), there.shown()]).toEqual(['grace', 'ada']);
    await here.client.unpinTab();
    expect(here.shown()).toBe('ada');
  });

  test('and another one come to rest', async () => {
    const here = await openTab(server);
    await openTab(server);
    await here.client.pinTab('ada');
    await new Promise((done) => setTimeout(done, 300));
    const { length } = server.requests;
    await new Promise((done) => setTimeout(done, 300));
    expect(server.requests.length).toBe(length);
  });

  test('switches for itself alone', async () => {
    const here = await openTab(server);
    await here.client.pinTab();
    await here.client.setActive({ session: 'ada' });
    expect([here.shown(), here.state().pinnedSessionId, server.active]).toEqual(['ada', 'ada', 'grace']);
  });

  test('can be pinned to another account than the active one', async () => {
    const here = await openTab(server);
    await here.client.pinTab('ada');
    expect([here.shown(), server.active]).toEqual(['ada', 'grace']);
  });

  test('stays pinned when it is reloaded', async () => {
    const tab = storage();
    const here = await openTab(server, { storage: tab });
    await here.client.pinTab();
    server.active = 'ada';
    const again = await openTab(server, { storage: tab });
    expect([again.shown(), again.state().pinnedSessionId]).toEqual(['grace', 'grace']);
  });

  test('shows its own account although a server rendered the page for the active one', async () => {
    const tab = storage();
    const here = await openTab(server, { storage: tab });
    await here.client.pinTab('ada');
    const again = await openTab(server, { storage: tab, initialState: server.list });
    expect(again.client.getInitialState().session?.id).toBe('grace');
    expect(again.shown()).toBe('ada');
  });

  test('ignores responses to requests from before', async () => {
    const here = await openTab(server);
    server.active = 'ada';
    const release = server.hold();
    const before = here.client.refresh();
    server.hold();
    void here.client.pinTab();
    await release();
    await before;
    expect(here.shown()).toBe('grace');
  });

  test('shows no other account when its own has signed out', async () => {
    const here = await openTab(server);
    await here.client.pinTab();
    server.signOut('grace');
    server.active = 'ada';
    comeBack();
    await shows(here, undefined);
    expect(here.state()).toMatchObject({ pinnedSessionId: 'grace', endReason: 'signed-out-elsewhere' });
    await here.client.unpinTab();
    expect(here.shown()).toBe('ada');
  });

  test('shows no other account when a proxy drops the header', async () => {
    const here = await openTab(server);
    await here.client.pinTab();
    server.ignoresNames = true;
    server.active = 'ada';
    await here.client.refresh();
    expect(here.shown()).toBeUndefined();
  });

  test('is pinned no more after signing out of its account', async () => {
    const here = await openTab(server);
    await here.client.pinTab();
    await here.client.signOut();
    expect([here.shown(), here.state().pinnedSessionId]).toEqual([undefined, null]);
  });

  test('works where the browser denies sessionStorage', async () => {
    vi.stubGlobal('sessionStorage', undefined);
    const denied = vi.fn(() => {
      throw new DOMException('denied', 'SecurityError');
    });
    Object.defineProperty(globalThis, 'sessionStorage', { configurable: true, get: denied });
    const client = new SessionClient({ fetch: server.fetch });
    const stop = client.start();
    await server.idle();
    await client.pinTab('ada');
    expect(client.getState().session?.id).toBe('ada');
    expect(denied).toHaveBeenCalled();
    stop();
  });
});
