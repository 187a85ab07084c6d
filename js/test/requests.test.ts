import { beforeEach, describe, expect, test, vi } from 'vitest';

import { FakeServer } from './fake-server.js';
import { advance, fakeClock, openTab } from './tab.js';

let server: FakeServer;

beforeEach(() => {
  server = new FakeServer();
  server.signIn('ada');
  server.signIn('grace');
});

describe('fetch', () => {
  test('names the session that the tab shows', async () => {
    const tab = await openTab(server);
    server.active = 'ada';
    const response = await tab.client.fetch('/api/me', { headers: { accept: 'text/plain' } });
    expect(await response.json()).toEqual({ role: 'role of grace' });
  });

  test('leaves a session that the caller named', async () => {
    const tab = await openTab(server);
    const request = new Request(`${location.origin}/api/me`, { headers: { 'session-id': 'ada' } });
    const sent: Headers[] = [];
    const other = await openTab(server, {
      fetch: async (input, init) => {
        sent.push(new Headers(init?.headers));
        return server.fetch(input instanceof Request ? input.url : input, init);
      },
    });
    expect(await (await other.client.fetch(request)).json()).toEqual({ role: 'role of ada' });
    expect(tab.shown()).toBe('grace');
  });

  test.each(['https://api.example.com/api/me', 'http://localhost:3001/api/me'])(
    'does not reveal the session to %s',
    async (url) => {
      const tab = await openTab(server);
      await tab.client.fetch(url);
      expect(server.to('/api/me')).toMatchObject([{ named: null }]);
    },
  );

  test('hides an account that is no longer signed in', async () => {
    const tab = await openTab(server);
    server.signOut('grace');
    server.hold();
    const response = await tab.client.fetch('/api/me');
    expect([response.status, tab.shown()]).toEqual([409, undefined]);
    expect(await response.json()).toMatchObject({ code: 'session_mismatch' });
  });

  test.each([
    [401, 'not_fresh'],
    [409, 'edit_conflict'],
    [403, 'forbidden'],
  ])('leaves %i (%s) to the caller', async (status, code) => {
    const respond = async () => new Response(JSON.stringify({ code }), { status });
    const tab = await openTab(server);
    const fetch: typeof globalThis.fetch = (input, init) =>
      String(input) === '/api/me' ? respond() : server.fetch(input, init);
    const other = await openTab(server, { fetch });
    const { length } = server.requests;
    const response = await other.client.fetch('/api/me');
    expect([response.status, other.shown(), server.requests.length]).toEqual([status, 'grace', length]);
    expect(tab.shown()).toBe('grace');
  });
});

describe('getToken', () => {
  test('returns the token of the session that the tab shows', async () => {
    const tab = await openTab(server);
    server.active = 'ada';
    expect(await tab.client.getToken({ lifetime: 60, audience: 'api' })).toBe('grace 1');
    expect(server.to('/session/token')).toMatchObject([
      { named: 'grace', body: { session_id: 'grace', lifetime: 60, audience: 'api' } },
    ]);
  });

  test('reuses a token until shortly before its end', async () => {
    fakeClock();
    const tab = await openTab(server);
    const tokens = () => Promise.all([tab.client.getToken(), tab.client.getToken()]);
    expect(await tokens()).toEqual(['grace 1', 'grace 1']);
    await advance(server, 45);
    expect(await tokens()).toEqual(['grace 1', 'grace 1']);
    await advance(server, 10);
    expect(await tokens()).toEqual(['grace 2', 'grace 2']);
  });

  test('keeps tokens of different kinds apart', async () => {
    const tab = await openTab(server);
    await tab.client.getToken();
    await tab.client.getToken({ audience: 'api' });
    await tab.client.setActive({ session: 'ada' });
    expect(await tab.client.getToken()).toBe('ada 3');
  });

  test('forgets the tokens of a session that signed out', async () => {
    const tab = await openTab(server);
    await tab.client.getToken();
    await tab.client.signOut();
    server.signIn('grace');
    await tab.client.refresh();
    expect(await tab.client.getToken()).toBe('grace 2');
  });

  test('returns null without a session', async () => {
    server.active = null;
    const tab = await openTab(server);
    expect([await tab.client.getToken(), server.count('/session/token')]).toEqual([null, 0]);
  });

  test('returns null if the session is no longer signed in', async () => {
    const tab = await openTab(server);
    server.signOut('grace');
    expect([await tab.client.getToken(), tab.shown()]).toEqual([null, undefined]);
  });

  test('fails without a response, and works when there is one', async () => {
    const tab = await openTab(server);
    server.isOffline = true;
    await expect(tab.client.getToken()).rejects.toThrow('/session/token: no response');
    server.isOffline = false;
    expect(await tab.client.getToken()).toBe('grace 1');
  });
});

test('a request that gets no response in time fails', async () => {
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockImplementation((milliseconds) => {
    expect(milliseconds).toBe(10_000);
    return AbortSignal.abort(new DOMException('timed out', 'TimeoutError'));
  });
  const fetch: typeof globalThis.fetch = async (_, init) => {
    init?.signal?.throwIfAborted();
    throw new Error('the signal is not passed on');
  };
  const tab = await openTab(server, { fetch });
  await expect(tab.client.signOut()).rejects.toMatchObject({
    status: null,
    cause: { name: 'TimeoutError' },
  });
  expect(timeout).toHaveBeenCalled();
});
