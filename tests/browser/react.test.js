// The React page: the state of one account is never shown under another one.

import assert from 'node:assert/strict';

import { assertAccessible, assertFitsPhone } from './support/checks.js';
import { History } from './support/history.js';
import { withDemo } from './support/suite.js';
import { until } from './support/until.js';
import { ADA, CHOOSER, GRACE, LINUS, SIGNED_OUT, THIRTY_DAYS } from './support/visitor.js';

const PAGE = '/react/';
const NOTE = 'No other account may show this.';

/** Signs in to the accounts and opens the page, in a new tab. */
async function signInAndOpen(visitor, ...accounts) {
  const page = await visitor.open();
  for (const account of accounts) await visitor.signIn(page, account);
  await page.goto(visitor.demo.url(PAGE));
  await waitForAccount(page, accounts.at(-1));
  return page;
}

/** Opens the page in one more tab. */
async function openAnotherTab(visitor, account) {
  const page = await visitor.open(PAGE);
  await waitForAccount(page, account);
  return page;
}

async function waitForHeading(page, heading) {
  await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor();
}

const waitForAccount = (page, account) => waitForHeading(page, account.name);
const note = (page) => page.getByRole('textbox', { name: /^A note of/ });
/** The content of the page, without the menu in the header, which has buttons of the same names. */
const main = (page) => page.getByRole('main');
/** The menu of accounts in the header. */
const menu = (page) => page.getByRole('navigation').getByRole('menu');

async function openMenu(page, account) {
  await page.getByRole('button', { name: `Account: ${account.name}` }).click();
  await menu(page).waitFor();
}

/** The chooser, with this page as the one to return to. */
const CHOOSER_FOR_PAGE = `${CHOOSER}?redirect_url=${encodeURIComponent(PAGE)}`;

async function switchTo(page, account) {
  await main(page).getByRole('button', { name: new RegExp(`^Switch ?: ${account.name}`) }).click();
  await waitForAccount(page, account);
}

async function assertNoteIsEmpty(page) {
  assert.equal(await note(page).inputValue(), '');
  assert.ok(!(await page.content()).includes(NOTE));
}

withDemo('the React page', {}, (test) => {
  test('shows no state of one account under another', async (visitor) => {
    const page = await signInAndOpen(visitor, ADA, GRACE);
    await note(page).fill(NOTE);
    await switchTo(page, ADA);
    await assertNoteIsEmpty(page);
    await note(page).fill(`${NOTE} Nor this.`);

    // Switching back with the menu clears the note as well.
    await openMenu(page, ADA);
    await menu(page).getByRole('menuitemradio', { name: GRACE.name }).click();
    await waitForAccount(page, GRACE);
    await assertNoteIsEmpty(page);
    assert.equal((await visitor.sessions()).active, await visitor.idOf(GRACE));
  });

  test('follows a switch in another tab, from a page with or without script', async (visitor) => {
    const page = await signInAndOpen(visitor, ADA, GRACE);
    const other = await openAnotherTab(visitor, GRACE);
    await note(page).fill(NOTE);
    await switchTo(other, ADA);
    await waitForAccount(page, ADA);
    await assertNoteIsEmpty(page);

    // A page without script notifies no other tab. This one fetches the list when it gets the focus.
    await note(page).fill(NOTE);
    await other.goto(visitor.demo.url('/me'));
    await visitor.switchTo(other, GRACE);
    await page.evaluate(() => window.dispatchEvent(new Event('focus')));
    await waitForAccount(page, GRACE);
    await assertNoteIsEmpty(page);
  });

  test('follows a sign-out in another tab and activates no other account', async (visitor) => {
    visitor.expect(/\/api\/me: .* status of 40[19]/);
    const page = await signInAndOpen(visitor, ADA, GRACE);
    const other = await openAnotherTab(visitor, GRACE);
    await note(page).fill(NOTE);
    await main(other).getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(other, CHOOSER_FOR_PAGE, 'Choose an account');
    await waitForHeading(page, 'Choose an account');
    assert.ok(!(await page.content()).includes(NOTE));

    await page.getByRole('button', { name: `Continue as ${ADA.name}` }).click();
    await waitForAccount(page, ADA);
    await assertNoteIsEmpty(page);

    await other.goto(visitor.demo.url(PAGE));
    await waitForAccount(other, ADA);
    await main(other).getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(other, '/', SIGNED_OUT);
    await waitForHeading(page, 'You are signed out');
  });

  test('follows signing out of all in another tab', async (visitor) => {
    visitor.expect(/\/api\/me: .* status of 40[19]/);
    const page = await signInAndOpen(visitor, ADA, GRACE);
    const other = await openAnotherTab(visitor, GRACE);
    await main(other).getByRole('button', { name: 'Sign out of all' }).click();
    await visitor.isAt(other, '/', SIGNED_OUT);
    await waitForHeading(page, 'You are signed out');
    assert.deepEqual(await visitor.sessions(), { active: null, sessions: [] });
  });

  test('keeps the account of a pinned tab', async (visitor) => {
    visitor.expect(/status of 409/);
    const page = await signInAndOpen(visitor, GRACE, ADA);
    const other = await openAnotherTab(visitor, ADA);
    await page.getByRole('checkbox', { name: `Keep this tab on ${ADA.name}` }).check();
    await note(page).fill(NOTE);

    const [response] = await Promise.all([
      page.waitForResponse((one) => one.url().endsWith('/session')),
      switchTo(other, GRACE),
    ]);
    const { active } = await response.json();
    assert.equal(active, await visitor.idOf(ADA), 'the request of the pinned tab named its session');
    await waitForAccount(page, ADA);
    assert.equal(await note(page).inputValue(), NOTE);
    assert.equal(await visitor.headingAt(await visitor.open(), '/me'), `/me: ${GRACE.name}`);

    await page.reload();
    await waitForAccount(page, ADA);
    await page.getByRole('checkbox', { name: `Keep this tab on ${ADA.name}`, checked: true }).waitFor();

    // The pinned tab shows no other account after its own has signed out.
    await main(other).getByRole('button', { name: `Sign out of ${ADA.name}` }).click();
    await waitForHeading(page, 'This tab’s account is no longer signed in');
    await waitForAccount(other, GRACE);
    await page.getByRole('button', { name: 'Follow the browser’s active account' }).click();
    await waitForAccount(page, GRACE);
  });

  test('shows nothing of an account that signed out when the user goes back to it', async (visitor) => {
    visitor.expect(/\/api\/me: .* status of 40[19]/);
    const page = await signInAndOpen(visitor, ADA);
    await note(page).fill(NOTE);
    const history = await History.of(page);
    await page.goto(visitor.demo.url('/me'));
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, '/', SIGNED_OUT);
    // `/me` redirects to the sign-in form now.
    assert.match((await history.back()).url, /\/sign-in\?/);
    assert.ok((await history.back()).url.endsWith(PAGE));
    await until('the page shows that the user is signed out', async () => {
      const { html } = await history.shownPage();
      for (const word of [NOTE, ADA.name, ADA.email]) assert.ok(!html.includes(word), word);
      return html.includes('You are signed out');
    });
  });

  test('is accessible and fits a phone', async (visitor) => {
    const page = await visitor.open(PAGE);
    const assertUsable = async () => {
      await assertAccessible(page);
      await assertFitsPhone(page);
    };
    await waitForHeading(page, 'You are signed out');
    await assertUsable();
    for (const account of [ADA, GRACE, LINUS]) await visitor.signIn(page, account);
    await page.goto(visitor.demo.url(PAGE));
    await waitForAccount(page, LINUS);
    await page.getByText('maintainer').waitFor();
    await assertUsable();
    await openMenu(page, LINUS);
    await assertUsable();
    await page.keyboard.press('Escape');
    await menu(page).waitFor({ state: 'detached' });
    await page.getByRole('checkbox', { name: `Keep this tab on ${LINUS.name}` }).check();
    await assertUsable();
    await page.getByRole('checkbox', { name: `Keep this tab on ${LINUS.name}` }).uncheck();

    await main(page).getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, CHOOSER_FOR_PAGE, 'Choose an account');
    await page.goto(visitor.demo.url(PAGE));
    await waitForHeading(page, 'Choose an account');
    await assertUsable();
  });

  test('can be used with a keyboard alone', async (visitor) => {
    const page = await signInAndOpen(visitor, ADA, GRACE);
    for (const key of ['Tab', 'Tab', 'Tab', 'ArrowDown']) await page.keyboard.press(key);
    await menu(page).waitFor();
    await page.keyboard.press('Escape');
    await menu(page).waitFor({ state: 'detached' });
    // The focus is on the button again. A letter moves to the next entry that begins with it.
    for (const key of ['ArrowDown', 'a', 'Enter']) await page.keyboard.press(key);
    await waitForAccount(page, ADA);
  });
});

withDemo('the React page, with renewals each second', { SESSION_RENEW_AFTER: '1s' }, (test) => {
  test('keeps its state when the session is renewed', async (visitor) => {
    const page = await signInAndOpen(visitor, ADA);
    await note(page).fill(NOTE);
    const tokens = async () =>
      (await visitor.cookies()).map(({ value }) => value).filter((value) => value.includes('.'));
    const [before] = await tokens();
    await until('the session was renewed', async () => {
      const [response] = await Promise.all([
        page.waitForResponse((one) => one.url().endsWith('/session')),
        page.evaluate(() => window.dispatchEvent(new Event('focus'))),
      ]);
      await response.finished();
      return (await tokens())[0] !== before;
    });
    await waitForAccount(page, ADA);
    assert.equal(await note(page).inputValue(), NOTE);
  });
});

withDemo('the React page, with sessions of five seconds', { SESSION_MAXIMUM_LIFETIME: '5s' }, (test) => {
  test('hides a session when it expires', async (visitor) => {
    visitor.expect(/\/api\/me: .* status of 40[19]/);
    const page = await visitor.open();
    await visitor.signIn(page, GRACE, THIRTY_DAYS);
    await visitor.signIn(page, ADA);
    await page.goto(visitor.demo.url(PAGE));
    await waitForAccount(page, ADA);
    await waitForHeading(page, 'Choose an account');
    const text = await page.getByRole('main').innerText();
    assert.ok(!text.includes(ADA.name) && text.includes(GRACE.name), text);
    assert.match(text, /Your session has expired/);
    assert.match(await visitor.headingAt(page, '/me'), /^\/sign-in\/choose/);
  });
});
