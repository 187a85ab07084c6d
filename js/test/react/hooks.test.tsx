import { act, screen } from '@testing-library/react';
import { useState, version } from 'react';
import { hydrateRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { beforeEach, expect, test, vi } from 'vitest';

import {
  MultisessionAppSupport,
  SessionProvider,
  useSession,
  useSessionClient,
  useSessionList,
  useSessionState,
} from '../../src/react/index.js';
import { SessionClient } from '../../src/index.js';
import { FakeServer, storage } from '../fake-server.js';
import { comeBack, renderTab, settled } from './support.js';

let server: FakeServer;

beforeEach(() => {
  server = new FakeServer();
  server.signIn('ada');
  server.signIn('grace');
});

function Who() {
  const { isLoaded, isSignedIn, session } = useSession();
  const { sessions, setActive } = useSessionList();
  const { isStale } = useSessionState();
  return (
    <>
      <p>
        {JSON.stringify([isLoaded, isSignedIn ?? 'unknown', session?.id ?? String(session), isStale])}
      </p>
      {sessions?.map(({ id }) => (
        <button type="button" key={id} onClick={() => setActive({ session: id })}>
          {id}
        </button>
      ))}
    </>
  );
}

const who = () => JSON.parse(screen.getByText(/^\[/).textContent ?? '') as unknown;

test('this is the React that the project is named for', (context) => {
  const { name } = context.task.file.projectName ? { name: context.task.file.projectName } : { name: '' };
  expect(`react ${version.split('.')[0]}`).toBe(name);
});

test('the hooks follow the server', async () => {
  const release = server.hold();
  // Strict mode starts twice.
  const releaseAgain = server.hold();
  await renderTab(server, <Who />);
  expect(who()).toEqual([false, 'unknown', 'undefined', false]);
  await act(release);
  await act(releaseAgain);
  expect(who()).toEqual([true, true, 'grace', false]);
  await act(async () => screen.getByRole('button', { name: 'ada' }).click());
  expect(who()).toEqual([true, true, 'ada', false]);
  server.signOut('ada');
  await comeBack(server);
  expect(who()).toEqual([true, false, 'null', false]);
  server.isOffline = true;
  await comeBack(server);
  expect(who()).toEqual([true, false, 'null', true]);
});

test.each([
  ['useSession', () => useSession()],
  ['useSessionList', () => useSessionList()],
  ['useSessionState', () => useSessionState()],
  ['useSessionClient', () => useSessionClient()],
])('%s outside of a provider is an error that says so', (_, use) => {
  vi.spyOn(console, 'error').mockImplementation(() => {});
  const Outside = () => <>{String(use())}</>;
  expect(() => renderToString(<Outside />)).toThrow('must be inside of a <SessionProvider>');
});

test('a provider can use a client of the application', async () => {
  const client = new SessionClient({ fetch: server.fetch, storage: storage() });
  await renderTab(server, <Who />, { client });
  await act(() => client.setActive({ session: 'ada' }));
  expect(who()).toEqual([true, true, 'ada', false]);
});

test('the client stops with the provider', async () => {
  const { unmount } = await renderTab(server, <Who />);
  unmount();
  const { length } = server.requests;
  await comeBack(server);
  expect(server.requests.length).toBe(length);
});

test('a page is rendered by a server and hydrated without a difference', async () => {
  const page = (
    <SessionProvider initialState={server.list} fetch={server.fetch} storage={storage()}>
      <MultisessionAppSupport renderedFor="grace">
        <Who />
      </MultisessionAppSupport>
    </SessionProvider>
  );
  const root = document.createElement('div');
  root.innerHTML = renderToString(page);
  expect(root.textContent).toContain('[true,true,"grace",false]');
  expect(server.requests).toEqual([]);

  const problem = vi.spyOn(console, 'error');
  document.body.append(root);
  const onRecoverableError = vi.fn();
  // The active account has changed since the page was rendered.
  server.active = 'ada';
  const release = server.hold();
  const hydrated = await act(async () => hydrateRoot(root, page, { onRecoverableError }));
  expect(who()).toEqual([true, true, 'grace', false]);
  await act(release);
  await settled(server);
  // The server has rendered the page for another account: it is hidden.
  expect(root.textContent).toBe('');
  expect(onRecoverableError).not.toHaveBeenCalled();
  expect(problem).not.toHaveBeenCalled();
  act(() => hydrated.unmount());
  root.remove();
});

test('a page that a server rendered without a list begins with an unknown session', () => {
  const page = (
    <SessionProvider initialState={null}>
      <Who />
    </SessionProvider>
  );
  expect(renderToString(page)).toContain('[false,&quot;unknown&quot;,&quot;undefined&quot;,false]');
});

let born = 0;

function Child() {
  const [number] = useState(() => ++born);
  return <p>child {number}</p>;
}

const child = () => Number(screen.getByText(/^child/).textContent?.slice(6));

test('MultisessionAppSupport recreates its children when another session is shown', async () => {
  await renderTab(
    server,
    <MultisessionAppSupport>
      <Child />
    </MultisessionAppSupport>,
  );
  const ofGrace = child();
  server.change('grace', { expires_at: Math.floor(Date.now() / 1000) + 7200 });
  await comeBack(server);
  expect(child(), 'a renewal keeps them').toBe(ofGrace);
  server.isOffline = true;
  await comeBack(server);
  expect(child(), 'a missing response keeps them').toBe(ofGrace);
  server.isOffline = false;

  server.active = 'ada';
  await comeBack(server);
  const ofAda = child();
  expect(ofAda).toBeGreaterThan(ofGrace);
  server.signOut('ada');
  await comeBack(server);
  const ofNone = child();
  expect(ofNone, 'after signing out').toBeGreaterThan(ofAda);
  server.signOut('grace');
  await comeBack(server);
  expect(child(), 'no account is like accounts to choose from').toBe(ofNone);
  server.signIn('grace again', { subject: 'grace' });
  await comeBack(server);
  expect(child(), 'a new sign-in').toBeGreaterThan(ofNone);
});

test('MultisessionAppSupport hides what was rendered for another session', async () => {
  const page = (renderedFor: string | null) => (
    <MultisessionAppSupport renderedFor={renderedFor} fallback={<p>loading</p>}>
      <p>balance of {renderedFor}</p>
    </MultisessionAppSupport>
  );
  const wrap = (renderedFor: string | null, client: SessionClient) => (
    <SessionProvider client={client}>{page(renderedFor)}</SessionProvider>
  );
  const client = new SessionClient({ fetch: server.fetch, storage: storage() });
  const { rerender } = await renderTab(server, page('grace'), { client });
  screen.getByText('balance of grace');
  await act(() => client.setActive({ session: 'ada' }));
  expect(document.body.textContent).toBe('loading');
  rerender(wrap('ada', client));
  expect(document.body.textContent).toBe('balance of ada');
  server.active = null;
  await comeBack(server);
  expect(document.body.textContent).toBe('loading');
  rerender(wrap(null, client));
  expect(document.body.textContent).toBe('balance of ');
});
