import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { FakeServer } from './fake-server.js';
import { advance, fakeClock, openTab } from './tab.js';

let server: FakeServer;
const touches = () => server.requests.filter(({ activity }) => activity === 'user').length;
const use = (type: string) => document.body.dispatchEvent(new Event(type, { bubbles: true }));

beforeEach(() => {
  server = new FakeServer();
  server.signIn('grace');
  fakeClock();
});

describe('the heartbeat', () => {
  test.each(['pointerdown', 'keydown', 'wheel', 'touchmove'])('follows %s', async (type) => {
    const tab = await openTab(server);
    await advance(server, 600);
    expect(touches()).toBe(0);
    use(type);
    await server.idle();
    expect(touches()).toBe(1);
    expect(tab.state().session?.expiresAt.getTime()).toBe(
      Math.floor(Date.now() / 1000) * 1000 + 3600_000,
    );
  });

  test('is sent at most once a minute, and not without activity', async () => {
    await openTab(server);
    for (let second = 0; second < 120; second++) {
      use('keydown');
      await advance(server, 1);
    }
    expect(touches()).toBe(2);
    await advance(server, 600);
    expect(touches()).toBe(2);
  });

  test('is sent as often as configured', async () => {
    await openTab(server, { heartbeatSeconds: 10 });
    for (let second = 0; second < 60; second++) {
      use('keydown');
      await advance(server, 1);
    }
    expect(touches()).toBe(6);
  });

  test('can be turned off', async () => {
    await openTab(server, { heartbeatSeconds: false });
    use('keydown');
    await server.idle();
    expect(touches()).toBe(0);
  });

  test('is not sent without a session', async () => {
    server.signOut('grace');
    await openTab(server);
    use('keydown');
    await server.idle();
    expect(touches()).toBe(0);
  });

  test('does no harm with a server that does not know it', async () => {
    server.knowsHeartbeat = false;
    const tab = await openTab(server);
    await advance(server, 60);
    const { expiresAt } = tab.state().session!;
    expect(await tab.client.touch()).toBe(false);
    expect(tab.state()).toMatchObject({ isStale: false, error: null, session: { expiresAt } });
  });

  test('keeps the session of a pinned tab active', async () => {
    server.signIn('ada');
    const tab = await openTab(server);
    await tab.client.pinTab('grace');
    server.requests.length = 0;
    use('keydown');
    await server.idle();
    expect(server.requests).toMatchObject([{ named: 'grace', activity: 'user' }]);
  });
});

describe('a page that the browser fetched in advance', () => {
  const setPrerendering = (prerendering: boolean) =>
    Object.defineProperty(document, 'prerendering', { configurable: true, value: prerendering });

  afterEach(() => {
    Reflect.deleteProperty(document, 'prerendering');
  });

  test('sends nothing while it is prerendered, and then reports activity', async () => {
    setPrerendering(true);
    const tab = await openTab(server);
    use('keydown');
    window.dispatchEvent(new Event('focus'));
    const channel = new BroadcastChannel('tower-auth-session:/session');
    channel.postMessage('changed');
    channel.close();
    await new Promise((done) => setImmediate(done));
    await advance(server, 10);
    expect(server.requests).toEqual([]);
    setPrerendering(false);
    document.dispatchEvent(new Event('prerenderingchange'));
    await server.idle();
    expect(server.requests).toMatchObject([{ activity: 'user' }]);
    expect(tab.shown()).toBe('grace');
  });

  test('that is never opened sends nothing', async () => {
    setPrerendering(true);
    const { client } = await openTab(server);
    client.start()();
    document.dispatchEvent(new Event('prerenderingchange'));
    await server.idle();
    // Of the two starts, one was stopped.
    expect(server.requests.length).toBe(1);
  });

  test.each([
    ['navigational-prefetch', undefined, 'user'],
    ['navigational-prefetch', false, null],
    ['cache', undefined, null],
    ['', undefined, null],
  ] as const)('with delivery type %j and heartbeat %s', async (deliveryType, heartbeatSeconds, activity) => {
    vi.spyOn(performance, 'getEntriesByType').mockImplementation((type) =>
      type === 'navigation' ? [{ deliveryType } as unknown as PerformanceEntry] : [],
    );
    await openTab(server, { heartbeatSeconds });
    expect(server.requests).toMatchObject([{ activity }]);
  });
});
