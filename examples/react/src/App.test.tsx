import { act, cleanup, fireEvent, render, screen, waitFor } from '@testing-library/react';
import { StrictMode } from 'react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { App } from './App';
import { FakeServer, tabStorage } from './testing';

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
const focusTab = () => act(async () => window.dispatchEvent(new Event('focus')));

const OPTIONS = () => ({ storage: tabStorage(), navigate: () => {} });

async function open() {
  render(
    <StrictMode>
      <App options={OPTIONS()} />
    </StrictMode>,
  );
  await screen.findByRole('heading', { level: 1 });
}

test('switching the account clears the text of the account before', async () => {
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

test('a switch in another tab clears the text too', async () => {
  server.signIn('ada');
  server.signIn('grace');
  await open();
  write('for grace only');
  server.active = 'ada';
  await focusTab();
  await heading('ada');
  expect(draft()).toBe('');
});

test('a renewal keeps the text', async () => {
  server.signIn('ada');
  await open();
  write('half a sentence');
  const later = Date.parse('2030-01-02T03:04:05Z') / 1000;
  server.sessions.ada = later;
  await focusTab();
  await waitFor(() =>
    expect(document.querySelector('time[datetime="2030-01-02T03:04:05.000Z"]')).not.toBeNull(),
  );
  expect(draft()).toBe('half a sentence');
});

test('a missing response keeps the text and shows a message', async () => {
  server.signIn('ada');
  await open();
  write('half a sentence');
  server.offline = true;
  await focusTab();
  await screen.findByText(/The server does not respond/);
  expect(draft()).toBe('half a sentence');
  server.offline = false;
  fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
  await waitFor(() => expect(screen.queryByText(/The server does not respond/)).toBeNull());
  expect(draft()).toBe('half a sentence');
});

test('signing in to the same account again clears the text of the session before', async () => {
  server.signIn('ada');
  await open();
  write('from before');
  server.signOut('ada');
  server.signIn('ada again');
  await focusTab();
  await heading('ada again');
  expect(draft()).toBe('');
});

test('signing out of the active account makes no other account active', async () => {
  server.signIn('ada');
  server.signIn('grace');
  await open();
  server.signOut('grace');
  await focusTab();
  await heading('Choose an account');
  expect(screen.queryByRole('textbox')).toBeNull();
  fireEvent.click(screen.getByRole('button', { name: /Continue.*as ada/ }));
  await heading('ada');
});

test('switching the account moves the focus to the new heading', async () => {
  server.signIn('ada');
  server.signIn('grace');
  await open();
  const button = screen.getByRole('button', { name: /Switch.*: ada/ });
  button.focus();
  fireEvent.click(button);
  const ada = await heading('ada');
  await waitFor(() => expect(document.activeElement).toBe(ada));
  await screen.findByText('The page shows ada now.');
});

test('a rejected request of the page hides its account', async () => {
  server.signIn('ada');
  server.signIn('grace');
  const release = server.hold();
  await act(async () => {
    render(<App options={OPTIONS()} />);
  });
  // Grace signs out between the response that names her and the request of the page.
  server.signOut('grace');
  await release();
  await heading('Choose an account');
  expect(server.requests.filter(({ path }) => path === '/api/me').map(({ named }) => named)).toEqual([
    'grace',
  ]);
});
