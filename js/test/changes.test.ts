import { beforeEach, describe, expect, test } from 'vitest';

import { SessionRequestError } from '../src/index.js';
import { FakeServer } from './fake-server.js';
import { openTab } from './tab.js';

let server: FakeServer;

beforeEach(() => {
  server = new FakeServer();
  server.signIn('ada');
  server.signIn('grace');
});

describe('switching', () => {
  test('makes an account the active one', async () => {
    const tab = await openTab(server);
    const [ada] = tab.state().sessions;
    await tab.client.setActive({ session: ada! });
    expect([tab.shown(), server.active, tab.visited()]).toEqual(['ada', 'ada', []]);
  });

  test('goes where it was asked to', async () => {
    const tab = await openTab(server);
    await tab.client.setActive({ session: 'ada', redirectUrl: '/inbox' });
    expect(tab.visited()).toEqual(['/inbox']);
  });

  test('to a pending session opens the page for its tasks', async () => {
    server.signIn('linus', { status: 'pending', tasks: ['second-factor'] });
    server.active = 'grace';
    const tab = await openTab(server);
    await tab.client.pinTab('grace');
    await tab.client.setActive({ session: 'linus', redirectUrl: '/inbox' });
    expect([tab.visited(), tab.shown(), tab.state().pinnedSessionId]).toEqual([['/tasks'], undefined, null]);
    expect(server.to('/session/switch')[0]?.body).toEqual({ session_id: 'linus', redirect_url: '/inbox' });
  });

  test('to an account that is no longer signed in fails and changes nothing', async () => {
    const tab = await openTab(server);
    server.signOut('ada');
    const error = await tab.client.setActive({ session: 'ada', redirectUrl: '/' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(SessionRequestError);
    expect(error).toMatchObject({ status: 409, code: 'not_signed_in_here' });
    expect(tab.state().error).toBe(error);
    expect([tab.shown(), tab.visited()]).toEqual(['grace', []]);
    await server.idle();
    expect(tab.state().sessions.map(({ id }) => id)).toEqual(['grace']);
    tab.client.dismissError();
    expect(tab.state().error).toBeNull();
  });
});

describe('signing out', () => {
  const URLS = { afterSignOutUrl: '/bye', afterMultiSessionSingleSignOutUrl: '/others' };

  test.each([
    ['the account shown', {}, {}, '/from-server'],
    ['the account shown', {}, URLS, '/others'],
    ['the account shown', {}, { signInUrl: '/in' }, '/in/choose'],
    ['the account shown', {}, { signInUrl: '/in/?a=b#c' }, '/in/choose?a=b#c'],
    ['the account shown', {}, { signInUrl: 'https://id.example.com' }, 'https://id.example.com/choose'],
    ['the account shown', {}, { ...URLS, signInUrl: '/in' }, '/others'],
    ['the account shown', { redirectUrl: '/own' }, URLS, '/own'],
    ['the account shown', { redirectUrl: null }, URLS, undefined],
    ['another account', { sessionId: 'ada' }, URLS, undefined],
    ['another account', { sessionId: 'ada', redirectUrl: '/own' }, {}, '/own'],
    ['all accounts', { scope: 'browser' }, {}, '/from-server'],
    ['all accounts', { scope: 'browser' }, URLS, '/bye'],
    ['all accounts', { scope: 'browser', redirectUrl: '/own' }, URLS, '/own'],
    ['the account everywhere', { scope: 'everywhere' }, URLS, '/bye'],
    ['another account everywhere', { scope: 'everywhere', sessionId: 'ada' }, URLS, undefined],
  ] as const)('of %s with %j and %j leads to %s', async (_, options, urls, url) => {
    server.redirectUrl = '/from-server';
    const tab = await openTab(server, urls);
    await tab.client.signOut(options);
    expect(tab.visited()).toEqual(url === undefined ? [] : [url]);
  });

  test('of the last account leads where signing out leads', async () => {
    server.signOut('ada');
    const tab = await openTab(server, URLS);
    await tab.client.signOut();
    expect(tab.visited()).toEqual(['/bye']);
  });

  test('of the last account, while none is active, too', async () => {
    server.signOut('ada');
    server.active = null;
    const tab = await openTab(server, URLS);
    await tab.client.signOut({ sessionId: 'grace' });
    expect(tab.visited()).toEqual(['/bye']);
  });

  test('of the account shown makes no other account active', async () => {
    const tab = await openTab(server);
    await tab.client.signOut();
    expect(server.to('/sign-out')[0]?.body).toEqual({ scope: 'this', session_id: 'grace' });
    expect(tab.state()).toMatchObject({ session: null, endReason: null });
    await server.idle();
    expect(tab.state().sessions.map(({ id }) => id)).toEqual(['ada']);
  });

  test('of all accounts leaves none, without another response', async () => {
    const tab = await openTab(server);
    server.hold();
    await tab.client.signOut({ scope: 'browser' });
    expect(server.to('/sign-out')[0]?.body).toEqual({ scope: 'browser' });
    expect(tab.state()).toMatchObject({ session: null, sessions: [], endReason: null });
  });

  test('of the account shown hides it without another response', async () => {
    const tab = await openTab(server);
    server.hold();
    await tab.client.signOut();
    expect(tab.shown()).toBeUndefined();
  });

  test('never reports an end that this tab asked for', async () => {
    const tab = await openTab(server);
    const reasons = new Set<unknown>();
    tab.client.subscribe(({ endReason }) => reasons.add(endReason));
    await tab.client.pinTab();
    await tab.client.signOut();
    expect([...reasons]).toEqual([null]);
  });

  test.each(['javascript:alert(1)', 'data:text/html,x', 'http://[', ''])(
    'does not go to %j',
    async (redirectUrl) => {
      server.redirectUrl = redirectUrl;
      const tab = await openTab(server);
      await tab.client.signOut();
      expect(tab.visited()).toEqual([]);
      await tab.client.signOut({ sessionId: 'ada', redirectUrl });
      expect(tab.visited()).toEqual([]);
    },
  );

  test('stays on the page that it would go to', async () => {
    const tab = await openTab(server, { afterMultiSessionSingleSignOutUrl: location.pathname });
    await tab.client.signOut();
    expect(tab.visited()).toEqual([]);
    await tab.client.signOut({ sessionId: 'ada', redirectUrl: '?signed-out' });
    expect(tab.visited()).toEqual(['/?signed-out']);
  });

  test('that is refused changes nothing', async () => {
    server.signIn('linus', { actor: { sub: 'grace' } });
    const tab = await openTab(server);
    const signOut = tab.client.signOut({ scope: 'everywhere' });
    await expect(signOut).rejects.toMatchObject({ status: 403, code: 'impersonated' });
    expect([tab.shown(), tab.visited()]).toEqual(['linus', []]);
  });

  test('whose response is lost is found out about', async () => {
    const tab = await openTab(server);
    server.loses = '/sign-out';
    const error = await tab.client.signOut().catch((e: unknown) => e);
    expect(error).toMatchObject({ status: null });
    expect((error as Error).cause).toBeInstanceOf(TypeError);
    await server.idle();
    expect([tab.shown(), tab.visited()]).toEqual([undefined, []]);
  });
});

describe('changes', () => {
  test('are sent one after the other', async () => {
    const tab = await openTab(server);
    const release = server.hold('/session/switch');
    const switched = tab.client.setActive({ session: 'ada' });
    const signedOut = tab.client.signOut({ sessionId: 'grace' });
    await server.idle();
    expect([server.count('/sign-out'), tab.state().isBusy]).toEqual([0, true]);
    const releaseSecond = server.hold('/sign-out');
    await release();
    expect([server.count('/sign-out'), tab.state().isBusy]).toEqual([1, true]);
    await releaseSecond();
    await Promise.all([switched, signedOut]);
    expect([server.count('/sign-out'), tab.state().isBusy, tab.shown()]).toEqual([1, false, 'ada']);
  });

  test('are sent after one that failed', async () => {
    const tab = await openTab(server);
    const failed = tab.client.setActive({ session: 'nobody' });
    const signedOut = tab.client.signOut({ sessionId: 'ada' });
    await expect(failed).rejects.toThrow('409 (not_signed_in_here)');
    await signedOut;
    expect([tab.state().error, tab.state().isBusy]).toEqual([null, false]);
  });
});
