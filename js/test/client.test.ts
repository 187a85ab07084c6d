import { beforeEach, describe, expect, test, vi } from 'vitest';

import { SessionClient } from '../src/index.js';
import { FakeServer } from './fake-server.js';
import { advance, comeBack, fakeClock, openTab, shows } from './tab.js';

let server: FakeServer;

beforeEach(() => {
  server = new FakeServer();
  server.signIn('ada');
  server.signIn('grace');
});

describe('responses in any order', () => {
  test('an older response does not replace a newer one', async () => {
    const tab = await openTab(server);
    const release = server.hold();
    const older = tab.client.refresh();
    server.active = 'ada';
    await tab.client.refresh();
    expect(tab.shown()).toBe('ada');
    await release();
    await older;
    expect(tab.shown()).toBe('ada');
  });

  test('a response from before a switch does not undo it', async () => {
    const tab = await openTab(server);
    const release = server.hold();
    const before = tab.client.refresh();
    const releaseAfter = server.hold();
    await tab.client.setActive({ session: 'ada' });
    expect(tab.shown()).toBe('ada');
    await release();
    await before;
    expect(tab.shown()).toBe('ada');
    await releaseAfter();
    expect(tab.shown()).toBe('ada');
  });

  test('an older failure does not make a newer response stale', async () => {
    const tab = await openTab(server);
    const release = server.hold();
    server.isOffline = true;
    const older = tab.client.refresh();
    server.isOffline = false;
    await tab.client.refresh();
    await release();
    await older;
    expect(tab.state().isStale).toBe(false);
  });
});

describe('no response', () => {
  test('keeps the last known state and marks it as stale', async () => {
    const tab = await openTab(server);
    server.isOffline = true;
    await tab.client.refresh();
    expect([tab.shown(), tab.state().isStale, tab.state().isLoaded]).toEqual(['grace', true, true]);
    server.isOffline = false;
    await tab.client.refresh();
    expect(tab.state().isStale).toBe(false);
  });

  test('from the beginning leaves the state unknown', async () => {
    server.isOffline = true;
    const tab = await openTab(server);
    expect(tab.state()).toMatchObject({ isLoaded: false, session: null, isStale: true });
  });

  test.each([500, 503, 404, 401])('a response with status %i is none', async (status) => {
    const tab = await openTab(server);
    server.failsWith = status;
    await tab.client.refresh();
    expect([tab.shown(), tab.state().isStale]).toEqual(['grace', true]);
  });

  test.each([
    '<!doctype html>',
    '',
    'null',
    '{}',
    '{"active":null}',
    '{"active":1,"sessions":[]}',
    '{"active":null,"sessions":[{}]}',
    '{"active":null,"sessions":[null]}',
  ])('a response of another server is none: %j', async (body) => {
    const tab = await openTab(server);
    server.nonsense = body;
    await tab.client.refresh();
    expect([tab.shown(), tab.state().isStale]).toEqual(['grace', true]);
  });

  test('keeps no session beyond its end', async () => {
    fakeClock();
    const tab = await openTab(server);
    server.isOffline = true;
    await advance(server, 3601);
    expect(tab.state()).toMatchObject({ session: null, sessions: [], endReason: 'expired' });
  });

  test('is followed by further requests, less and less often', async () => {
    fakeClock();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const tab = await openTab(server);
    server.isOffline = true;
    await tab.client.refresh();
    const sentAt: number[] = [];
    const start = Date.now();
    for (let second = 0; second < 300; second++) {
      const before = server.count();
      await advance(server, 1);
      if (server.count() > before) sentAt.push((Date.now() - start) / 1000);
    }
    expect(sentAt).toEqual([5, 15, 35, 75, 135, 195, 255]);
    server.isOffline = false;
    await advance(server, 60);
    expect(tab.state().isStale).toBe(false);
    const { length } = server.requests;
    await advance(server, 300);
    expect(server.requests.length).toBe(length);

    server.isOffline = true;
    await tab.client.refresh();
    await advance(server, 6);
    expect(server.requests.length, 'the next failure begins anew').toBe(length + 2);
  });

  test('is followed by no request while the tab is hidden', async () => {
    fakeClock();
    const tab = await openTab(server);
    server.isOffline = true;
    vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden');
    await tab.client.refresh();
    const { length } = server.requests;
    comeBack();
    await advance(server, 300);
    expect(server.requests.length).toBe(length);
    vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('visible');
    document.dispatchEvent(new Event('visibilitychange'));
    await advance(server, 1);
    expect(server.requests.length).toBe(length + 1);
  });
});

describe('the end of a session', () => {
  test('is noticed while the page is open', async () => {
    fakeClock();
    const tab = await openTab(server);
    server.change('grace', { expires_at: Math.floor(Date.now() / 1000) + 120 });
    await tab.client.refresh();
    await advance(server, 115);
    expect(tab.shown()).toBe('grace');
    await advance(server, 10);
    expect(tab.state()).toMatchObject({ session: null, endReason: 'expired' });
    expect(tab.state().sessions.map(({ id }) => id)).toEqual(['ada']);
  });

  test('is announced once, after the list was fetched again', async () => {
    fakeClock();
    const tab = await openTab(server, { endsSoonSeconds: 300 });
    const announced: (number | undefined)[] = [];
    tab.client.subscribe((state, previous) => {
      if (state.endsSoon && !previous.endsSoon) announced.push(state.session?.expiresAt.getTime());
    });
    await advance(server, 3290);
    expect(announced).toEqual([]);
    const requests = server.count();
    await advance(server, 20);
    expect(server.count()).toBeGreaterThan(requests);
    await advance(server, 100);
    expect(announced).toEqual([tab.state().session?.expiresAt.getTime()]);
    expect(tab.state().endsSoon).toBe(true);
  });

  test('is not announced if another tab has renewed the session', async () => {
    fakeClock();
    const tab = await openTab(server);
    server.change('grace', { expires_at: Math.floor(Date.now() / 1000) + 7200 });
    await advance(server, 3595);
    expect(tab.state().endsSoon).toBe(false);
    await advance(server, 3600);
    expect(tab.state().endsSoon).toBe(true);
  });

  test('is put off by activity', async () => {
    fakeClock();
    const tab = await openTab(server);
    await advance(server, 3545);
    expect(tab.state().endsSoon).toBe(true);
    expect(await tab.client.touch()).toBe(true);
    expect(tab.state().endsSoon).toBe(false);
  });

  test('is not put off beyond the maximum lifetime', async () => {
    fakeClock();
    const tab = await openTab(server);
    server.maximum = Date.now() / 1000;
    server.change('grace', { expires_at: server.maximum });
    await tab.client.refresh();
    expect(await tab.client.touch()).toBe(false);
  });

  test('uses the clock of the server', async () => {
    const tab = await openTab(server);
    const { fetch } = server;
    const now = Date.now();
    const ahead: typeof fetch = async (input, init) => {
      const response = await fetch(input, init);
      response.headers.set('date', new Date(now + 3570_000).toUTCString());
      return response;
    };
    const other = await openTab(server, { fetch: ahead });
    expect([tab.state().endsSoon, other.state().endsSoon]).toEqual([false, true]);
    expect(Math.abs(other.client.now().getTime() - now - 3570_000)).toBeLessThan(2000);
  });
});

describe('the state', () => {
  test('keeps its objects while nothing changes', async () => {
    const tab = await openTab(server);
    const before = tab.state();
    const listener = vi.fn();
    tab.client.subscribe(listener);
    await tab.client.refresh();
    expect(tab.state()).toBe(before);
    server.change('ada', { label: 'Ada' });
    await tab.client.refresh();
    expect(listener).toHaveBeenCalledOnce();
    expect(tab.state().session).toBe(before.session);
  });

  test('treats a pending session as signed out', async () => {
    server.signIn('linus', { status: 'pending', tasks: ['second-factor'] });
    const tab = await openTab(server);
    expect(tab.state()).toMatchObject({ session: null, endReason: null });
    expect(tab.state().sessions[2]).toMatchObject({ status: 'pending', tasks: ['second-factor'] });
  });

  test('is no end of a session that is still signed in', async () => {
    const tab = await openTab(server);
    server.active = null;
    await tab.client.refresh();
    expect(tab.state()).toMatchObject({ session: null, endReason: null });
  });

  test('has the actor of an impersonated session', async () => {
    server.signIn('linus', { actor: { sub: 'support' } });
    const tab = await openTab(server);
    expect(tab.state().session?.actor).toEqual({ sub: 'support' });
    expect(tab.state().sessions[0]?.actor).toBeNull();
  });

  test('states whether a session is bound to the device', async () => {
    server.signIn('linus', { device_bound: true, proof_expires_at: 1_800_000_600 });
    const tab = await openTab(server);
    expect(tab.state().session).toMatchObject({
      deviceBound: true,
      proofExpiresAt: new Date('2027-01-15T08:10:00Z'),
    });
    expect(tab.state().sessions[0]).toMatchObject({ deviceBound: false, proofExpiresAt: null });
  });

  test('is unknown after the back button until the server has responded', async () => {
    const tab = await openTab(server);
    server.signOut('grace');
    const release = server.hold();
    window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
    expect(tab.state()).toMatchObject({ isLoaded: false, session: null, sessions: [] });
    await release();
    expect(tab.state()).toMatchObject({ isLoaded: true, session: null });
  });

  test('is fetched once for events that come together', async () => {
    const tab = await openTab(server);
    const { length } = server.requests;
    comeBack();
    document.dispatchEvent(new Event('visibilitychange'));
    window.dispatchEvent(new Event('online'));
    server.active = 'ada';
    await shows(tab, 'ada');
    expect(server.requests.length).toBe(length + 1);
  });
});

test('a client that was stopped sends nothing more', async () => {
  fakeClock();
  const client = new SessionClient({ fetch: server.fetch });
  const stop = client.start();
  await server.idle();
  comeBack();
  stop();
  const { length } = server.requests;
  comeBack();
  window.dispatchEvent(new Event('keydown'));
  await advance(server, 7200);
  expect(server.requests.length).toBe(length);
});

describe('paths', () => {
  test('have the base path in front', async () => {
    server = new FakeServer('/app');
    server.signIn('ada');
    server.signIn('grace');
    const tab = await openTab(server, { basePath: '/app/' });
    await tab.client.setActive({ session: 'ada' });
    await tab.client.getToken();
    await tab.client.signOut();
    const paths = new Set(server.requests.map(({ path }) => path));
    expect([...paths].sort()).toEqual([
      '/app/session',
      '/app/session/switch',
      '/app/session/token',
      '/app/sign-out',
    ]);
    expect(tab.state().sessions.map(({ id }) => id)).toEqual(['grace']);
  });

  test('can be moved one by one', async () => {
    const urls: string[] = [];
    const fetch: typeof globalThis.fetch = async (input, init) => {
      urls.push(String(input));
      return server.fetch(String(input).replace('/elsewhere', '/session'), init);
    };
    const tab = await openTab(server, { fetch, basePath: '/app', paths: { session: '/elsewhere' } });
    expect([urls, tab.shown()]).toEqual([['/elsewhere'], 'grace']);
  });
});
