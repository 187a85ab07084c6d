// @vitest-environment node
import { expect, test } from 'vitest';

import { fetchSessionList, parseSessionList, SessionClient } from '../src/index.js';
import { FakeServer } from './fake-server.js';

function serverWithGrace(): FakeServer {
  const server = new FakeServer('/app');
  server.signIn('ada');
  server.signIn('grace');
  return server;
}

test('nothing needs a window before start()', async () => {
  expect([typeof window, typeof document]).toEqual(['undefined', 'undefined']);
  const server = serverWithGrace();
  const client = new SessionClient({ basePath: '/app', fetch: server.fetch });
  expect(client.getState()).toBe(client.getInitialState());
  expect(client.getState()).toMatchObject({ isLoaded: false, session: null });
  expect(server.requests).toEqual([]);
  // Without a page there is no origin to compare with.
  expect(await client.fetch('http://localhost/app/api/me')).toHaveProperty('status', 200);
});

test('the list is fetched with the cookies of the visitor, as no activity', async () => {
  const server = serverWithGrace();
  const sent: Headers[] = [];
  const fetch: typeof globalThis.fetch = (input, init) => {
    sent.push(new Headers(init?.headers));
    return server.fetch(input, init);
  };
  const url = new URL('http://127.0.0.1:3000/app/session');
  const json = await fetchSessionList(url, { cookie: 'a=b; c=d', fetch });
  expect(json).toEqual(server.list);
  expect(sent.map((headers) => headers.get('cookie'))).toEqual(['a=b; c=d']);
  expect(server.requests).toMatchObject([{ activity: 'none', named: null }]);

  await fetchSessionList(url, { cookie: null, fetch });
  expect(sent[1]?.has('cookie')).toBe(false);
});

test('a pending session is never the active one', async () => {
  const server = serverWithGrace();
  server.signIn('linus', { status: 'pending', tasks: ['second-factor'] });
  const options = { cookie: null, fetch: server.fetch };
  const list = await fetchSessionList('http://localhost/app/session', options);
  expect([server.active, list.active]).toEqual(['linus', null]);
  expect(list.sessions).toEqual(server.list.sessions);
});

test('a list that cannot be fetched is an error with the address and the reason', async () => {
  const server = serverWithGrace();
  const fetchList = () =>
    fetchSessionList('http://localhost/app/session', { cookie: null, fetch: server.fetch });
  server.failsWith = 503;
  await expect(fetchList()).rejects.toMatchObject({ status: 503, code: 'unavailable' });
  await expect(fetchList()).rejects.toThrow('http://localhost/app/session');
  server.failsWith = undefined;
  server.nonsense = '{}';
  await expect(fetchList()).rejects.toThrow('not the JSON of GET /session');
});

test('a client starts from the list of the server', () => {
  const { list } = serverWithGrace();
  const client = new SessionClient({ initialState: list });
  expect(client.getState()).toMatchObject({ isLoaded: true, session: { id: 'grace' } });
  expect(client.getState().sessions).toEqual(parseSessionList(list).sessions);
  expect(() => new SessionClient({ initialState: {} as never })).toThrow(TypeError);
});

test('times are dates', () => {
  const { list } = serverWithGrace();
  const [session] = parseSessionList(list).sessions;
  expect(session?.expiresAt).toEqual(new Date((list.sessions[0]?.expires_at ?? 0) * 1000));
  expect(session?.signedInAt).toEqual(new Date((list.sessions[0]?.signed_in_at ?? 0) * 1000));
});
