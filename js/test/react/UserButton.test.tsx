import { act, screen, waitFor } from '@testing-library/react';
import { userEvent } from '@testing-library/user-event';
import axe from 'axe-core';
import { beforeEach, describe, expect, test } from 'vitest';

import {
  MultisessionAppSupport,
  type SessionProviderProps,
  UserButton,
  type UserButtonProps,
} from '../../src/react/index.js';
import { FakeServer } from '../fake-server.js';
import { comeBack, renderTab, settled } from './support.js';

let server: FakeServer;
const user = userEvent.setup();

beforeEach(() => {
  server = new FakeServer();
  server.signIn('ada', { detail: 'ada@example.com' });
  server.signIn('grace', { detail: 'grace@example.com' });
});

const open = (props: UserButtonProps = {}, provider: Partial<SessionProviderProps> = {}) =>
  renderTab(server, <UserButton {...props} />, { signInUrl: '/sign-in', ...provider });
const button = (name: string) => screen.getByRole<HTMLButtonElement>('button', { name });
const menu = () => screen.queryByRole('menu');
const focused = () => document.activeElement?.textContent;
const press = (keys: string) => user.keyboard(keys);
const entries = () =>
  Array.from(menu()!.querySelectorAll('[role^=menuitem]'), ({ textContent }) => textContent);

/** Colours are checked in a browser. */
const NO_LAYOUT = { rules: { 'color-contrast': { enabled: false } } };

/** Clicks an entry and waits for the response. */
async function choose(name: string | RegExp, role: 'menuitem' | 'menuitemradio' = 'menuitem') {
  await user.click(screen.getByRole(role, { name }));
  await settled(server);
}

describe('the menu', () => {
  test('offers the accounts and what can be done with them', async () => {
    await open({ userProfileUrl: '/me' });
    expect(menu()).toBeNull();
    await user.click(button('Account: grace'));
    expect(entries()).toEqual([
      'Your account',
      'ada ada@example.com',
      'grace grace@example.com',
      'Add account',
      'Sign out',
      'Sign out of all accounts',
    ]);
    const accounts = screen.getAllByRole('menuitemradio');
    expect(accounts.map((account) => account.getAttribute('aria-checked'))).toEqual(['false', 'true']);
    expect(screen.getByRole('menuitem', { name: 'Your account' }).getAttribute('href')).toBe('/me');
    expect(screen.getByRole('menuitem', { name: 'Add account' }).getAttribute('href')).toBe('/sign-in');
  });

  test('leaves out what makes no sense', async () => {
    server.signOut('ada');
    await open({ showAddAccount: false });
    await user.click(button('Account: grace'));
    expect(entries()).toEqual(['grace grace@example.com', 'Sign out']);
  });

  test('is closed by a click elsewhere, by the button, and by leaving it', async () => {
    await renderTab(
      server,
      <>
        <UserButton />
        <input aria-label="elsewhere" />
      </>,
    );
    const opener = button('Account: grace');
    await user.click(opener);
    expect(opener.getAttribute('aria-expanded')).toBe('true');
    await user.click(document.body);
    expect([menu(), opener.getAttribute('aria-expanded')]).toEqual([null, 'false']);
    await user.click(opener);
    await user.click(opener);
    expect(menu()).toBeNull();
    await user.click(opener);
    act(() => screen.getByRole('textbox').focus());
    expect(menu()).toBeNull();
  });

  test.each(['closed', 'open', 'choose', 'signed out'])('is accessible: %s', async (what) => {
    server.signIn('linus', { status: 'pending' });
    if (what === 'signed out') server.sessions.clear();
    else server.active = what === 'choose' ? null : 'grace';
    const { container } = await open({ userProfileUrl: '/me' });
    if (what === 'open' || what === 'choose') await user.click(screen.getByRole('button'));
    const { passes, violations } = await axe.run(container, NO_LAYOUT);
    expect(passes.length).toBeGreaterThan(0);
    expect(violations).toEqual([]);
  });
});

describe('the keyboard', () => {
  test('opens the menu, moves in it and leaves it', async () => {
    await open();
    await user.tab();
    expect(document.activeElement).toBe(button('Account: grace'));
    await press('{Enter}');
    expect(focused()).toMatch(/^ada/);
    await press('{ArrowDown}{ArrowDown}');
    expect(focused()).toBe('Add account');
    await press('{ArrowUp}{ArrowUp}{ArrowUp}');
    expect(focused(), 'from the first to the last').toBe('Sign out of all accounts');
    await press('{ArrowDown}');
    expect(focused(), 'from the last to the first').toMatch(/^ada/);
    await press('{End}');
    expect(focused()).toBe('Sign out of all accounts');
    await press('{Home}');
    expect(focused()).toMatch(/^ada/);
    await press('{Escape}');
    expect([menu(), document.activeElement]).toEqual([null, button('Account: grace')]);
  });

  test.each([
    ['{ArrowDown}', /^ada/],
    ['{ArrowUp}', /^Sign out of all/],
    [' ', /^ada/],
  ])('%j on the button opens the menu', async (key, first) => {
    await open();
    await user.tab();
    await press(key);
    expect(focused()).toMatch(first);
  });

  test('finds entries by their first letter', async () => {
    await open();
    await user.tab();
    await press('{Enter}');
    await press('g');
    expect(focused()).toMatch(/^grace/);
    await press('S');
    expect(focused()).toBe('Sign out');
    await press('s');
    expect(focused()).toBe('Sign out of all accounts');
    await press('s');
    expect(focused()).toBe('Sign out');
    await press('x');
    expect(focused()).toBe('Sign out');
  });

  test('leaves the menu with Tab and closes it', async () => {
    await renderTab(
      server,
      <>
        <UserButton />
        <input />
      </>,
    );
    await user.tab();
    await press('{Enter}');
    await user.tab();
    expect([menu(), document.activeElement]).toEqual([null, screen.getByRole('textbox')]);
  });

  test('switches, and the focus is on the button again', async () => {
    await open();
    await user.tab();
    await press('{Enter}{Enter}');
    await settled(server);
    expect([menu(), server.active]).toEqual([null, 'ada']);
    expect(document.activeElement).toBe(button('Account: ada'));
  });

  test('follows a link with the space bar', async () => {
    await open();
    await user.tab();
    await press('{Enter}{ArrowDown}{ArrowDown}');
    const clicked: (string | null)[] = [];
    document.addEventListener(
      'click',
      (event) => {
        event.preventDefault();
        clicked.push((event.target as Element).textContent);
      },
      { once: true },
    );
    await press(' ');
    expect(clicked).toEqual(['Add account']);
  });
});

describe('switching', () => {
  test('keeps the focus although the button is recreated', async () => {
    await renderTab(
      server,
      <MultisessionAppSupport>
        <UserButton />
      </MultisessionAppSupport>,
    );
    const before = button('Account: grace');
    await user.click(before);
    await choose(/^ada/, 'menuitemradio');
    const after = button('Account: ada');
    expect(after).not.toBe(before);
    expect(document.activeElement).toBe(after);
    expect(menu()).toBeNull();
  });

  test('in another tab does not take the focus', async () => {
    await renderTab(
      server,
      <MultisessionAppSupport>
        <UserButton />
      </MultisessionAppSupport>,
    );
    server.active = 'ada';
    await comeBack(server);
    button('Account: ada');
    expect(document.activeElement).toBe(document.body);
  });

  test('to the account that is shown only closes the menu', async () => {
    await open();
    await user.click(button('Account: grace'));
    await choose(/^grace/, 'menuitemradio');
    expect([menu(), server.count('/session/switch')]).toEqual([null, 0]);
    expect(document.activeElement).toBe(button('Account: grace'));
  });

  test('goes to the page that the application wants', async () => {
    const { visited } = await open({ afterSwitchSessionUrl: '/inbox' });
    await user.click(button('Account: grace'));
    await choose(/^ada/, 'menuitemradio');
    expect(visited()).toEqual(['/inbox']);
  });

  test('to a pending session opens its tasks', async () => {
    server.signIn('linus', { status: 'pending', detail: 'linus@example.com' });
    server.active = 'grace';
    const { visited } = await open();
    await user.click(button('Account: grace'));
    await choose('linus Sign-in not complete', 'menuitemradio');
    expect(visited()).toEqual(['/tasks']);
  });

  test('that fails leaves the menu open and gives the reason', async () => {
    await open();
    await user.click(button('Account: grace'));
    server.isOffline = true;
    await choose(/^ada/, 'menuitemradio');
    expect(screen.getByRole('alert').textContent).toMatch(/did not respond/);
    server.isOffline = false;
    server.signOut('ada');
    await choose(/^ada/, 'menuitemradio');
    expect(screen.getByRole('alert').textContent).toMatch(/no longer signed in/);
    await choose('Sign out');
    expect(screen.queryByRole('alert')).toBeNull();
  });
});

describe('signing out', () => {
  test('goes where the provider is configured to', async () => {
    const { visited } = await open({}, { afterMultiSessionSingleSignOutUrl: '/others' });
    await user.click(button('Account: grace'));
    await choose('Sign out');
    expect([visited(), server.active]).toEqual([['/others'], null]);
    expect([...server.sessions.keys()]).toEqual(['ada']);
  });

  test('leaves the accounts to choose from', async () => {
    const { visited } = await open();
    await user.click(button('Account: grace'));
    await choose('Sign out');
    expect(visited()).toEqual(['/sign-in/choose']);
    await user.click(button('Choose an account'));
    expect(entries()).toEqual(['ada ada@example.com', 'Add account']);
    await choose(/^ada/, 'menuitemradio');
    button('Account: ada');
  });

  test('of all accounts leaves a link to sign in', async () => {
    const { visited } = await open({}, { afterSignOutUrl: '/bye' });
    await user.click(button('Account: grace'));
    await choose('Sign out of all accounts');
    expect([visited(), server.sessions.size]).toEqual([['/bye'], 0]);
    expect(screen.getByRole('link', { name: 'Sign in' }).getAttribute('href')).toBe('/sign-in');
  });

  test('twice in a row sends one request', async () => {
    await open();
    await user.click(button('Account: grace'));
    const release = server.hold('/sign-out');
    const item = screen.getByRole('menuitem', { name: 'Sign out' });
    await user.click(item);
    expect(item.getAttribute('aria-disabled')).toBe('true');
    await user.click(item);
    await act(release);
    await settled(server);
    expect(server.count('/sign-out')).toBe(1);
  });
});

describe('how it looks', () => {
  test('signed out, without a sign-in page, it is nothing', async () => {
    server.sessions.clear();
    const { container } = await open({}, { signInUrl: undefined });
    expect(container.innerHTML).toBe('');
  });

  test('it takes its place before the server has responded', async () => {
    server.isOffline = true;
    const { container } = await open();
    expect(container.querySelector('.tas-user-button[aria-hidden="true"] .tas-avatar')).not.toBeNull();
    expect(screen.queryByRole('button')).toBeNull();
  });

  test.each([
    ['Ada Lovelace', 'AL'],
    ['grace', 'G'],
    ['Augusta Ada King', 'AK'],
    ['  élise  ', 'É'],
    ['𝒜da', '𝒜'],
    ['', ''],
  ])('the initials of %j are %j', async (label, initials) => {
    server.change('grace', { label });
    const { container } = await open({ showName: true });
    expect(container.querySelector('.tas-avatar')?.getAttribute('data-initials')).toBe(initials);
    expect(container.querySelector('.tas-name')?.textContent).toBe(label);
  });

  test('its texts, its side, its colours and its class can be replaced', async () => {
    const texts = { button: 'Konto: {label}', signOut: 'Abmelden' };
    server.change('grace', { label: '$& grace' });
    const { container } = await open({ texts, align: 'start', colorScheme: 'dark', className: 'mine' });
    await user.click(button('Konto: $& grace'));
    await waitFor(() => screen.getByRole('menuitem', { name: 'Abmelden' }));
    const root = container.firstElementChild as HTMLElement;
    expect([root.className, { ...root.dataset }]).toEqual([
      'tas-user-button mine',
      { align: 'start', colorScheme: 'dark' },
    ]);
  });
});
