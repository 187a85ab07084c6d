import { act, cleanup, fireEvent, render, screen, waitFor } from '@testing-library/react';
import { StrictMode, useState } from 'react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { App } from '../App';
import { FakeServer, tabStorage } from '../testing';
import { MultisessionAppSupport } from './MultisessionAppSupport';
import { SessionProvider } from './useSession';

let server: FakeServer;

beforeEach(() => {
  server = new FakeServer();
  vi.stubGlobal('fetch', server.fetch);
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const draft = () => screen.getByRole<HTMLTextAreaElement>('textbox').value;
const write = (value: string) => fireEvent.change(screen.getByRole('textbox'), { target: { value } });
const heading = (name: string) => screen.findByRole('heading', { level: 1, name });
const comeBack = () => act(async () => window.dispatchEvent(new Event('focus')));

async function open() {
  render(
    <StrictMode>
      <App options={{ storage: tabStorage(), leave: () => {} }} />
    </StrictMode>,
  );
  await screen.findByRole('heading', { level: 1 });
}

test('a switch drops what was written under the account before', async () => {
  server.signIn('ada');
  server.signIn('grace');
  await open();
  write('for grace only');
  fireEvent.click(screen.getByRole('button', { name: /Switch.*: ada/ }));
  await heading('ada');
  expect(draft()).toBe('');
  await screen.findByText('role of ada');
  expect(screen.queryByText('role of grace')).toBeNull();

  write('for ada only');
  fireEvent.click(screen.getByRole('button', { name: /Switch.*: grace/ }));
  await heading('grace');
  expect(draft()).toBe('');
});

test('a switch in another tab does too', async () => {
  server.signIn('ada');
  server.signIn('grace');
  await open();
  write('for grace only');
  server.active = 'ada';
  await comeBack();
  await heading('ada');
  expect(draft()).toBe('');
});

test('a renewal keeps what was written', async () => {
  server.signIn('ada');
  await open();
  write('half a sentence');
  const later = Date.parse('2030-01-02T03:04:05Z') / 1000;
  server.sessions.ada = later;
  await comeBack();
  await waitFor(() =>
    expect(document.querySelector('time[datetime="2030-01-02T03:04:05.000Z"]')).not.toBeNull(),
  );
  expect(draft()).toBe('half a sentence');
});

test('an answer that does not come keeps what was written, and is said', async () => {
  server.signIn('ada');
  await open();
  write('half a sentence');
  server.offline = true;
  await comeBack();
  await screen.findByText(/The server does not answer/);
  expect(draft()).toBe('half a sentence');
  server.offline = false;
  fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
  await waitFor(() => expect(screen.queryByText(/The server does not answer/)).toBeNull());
  expect(draft()).toBe('half a sentence');
});

test('the same account signed in anew is another session', async () => {
  server.signIn('ada');
  await open();
  write('from before');
  server.signOut('ada');
  server.signIn('ada again');
  await comeBack();
  await heading('ada again');
  expect(draft()).toBe('');
});

test('accounts to choose from are no session, like no account at all', async () => {
  let born = 0;
  function Child() {
    const [number] = useState(() => ++born);
    return <p>child {number}</p>;
  }
  server.signIn('ada');
  server.signIn('grace');
  render(
    <SessionProvider options={{ storage: tabStorage() }}>
      <MultisessionAppSupport>
        <Child />
      </MultisessionAppSupport>
    </SessionProvider>,
  );
  // The first is of the time before the first answer.
  await screen.findByText('child 2');
  server.signOut('grace');
  await comeBack();
  await screen.findByText('child 3');
  const asked = server.asked;
  server.signOut('ada');
  await comeBack();
  await waitFor(() => expect(server.asked).toBeGreaterThan(asked));
  await comeBack();
  expect(screen.getByText('child 3')).toBeTruthy();
  server.signIn('ada');
  await comeBack();
  await screen.findByText('child 4');
});

test('nobody takes the place of an account that is gone', async () => {
  server.signIn('ada');
  server.signIn('grace');
  await open();
  server.signOut('grace');
  await comeBack();
  await heading('Choose an account');
  expect(screen.queryByRole('textbox')).toBeNull();
  fireEvent.click(screen.getByRole('button', { name: /Continue.*as ada/ }));
  await heading('ada');
});

test('who loses the focus with the account goes on at the new heading', async () => {
  server.signIn('ada');
  server.signIn('grace');
  await open();
  const button = screen.getByRole('button', { name: /Switch.*: ada/ });
  button.focus();
  fireEvent.click(button);
  const ada = await heading('ada');
  await waitFor(() => expect(document.activeElement).toBe(ada));
  await screen.findByText('This page is for ada now.');
});

test('a refused request of the page shows nothing of its account any more', async () => {
  server.signIn('ada');
  server.signIn('grace');
  const release = server.hold();
  await act(async () => {
    render(<App options={{ storage: tabStorage() }} />);
  });
  // Between the answer that names her and the page's own request grace is signed out.
  server.signOut('grace');
  await release();
  await heading('Choose an account');
  expect(server.requests.filter(({ path }) => path === '/api/me').map(({ named }) => named)).toEqual([
    'grace',
  ]);
});
