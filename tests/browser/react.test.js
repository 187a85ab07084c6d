// The React page: the state of one account is never shown under another one.

import assert from 'node:assert/strict';

import { assertAccessible, assertFitsPhone } from './support/checks.js';
import { History } from './support/history.js';
import { until, withDemo } from './support/suite.js';
import { ADA, CHOOSER, GRACE, LINUS, THIRTY_DAYS } from './support/visitor.js';

const PAGE = '/react/';
const NOTE = 'No other account may show this.';

/** Signs in and opens the page, in a new tab. */
async function openFor(visitor, ...people) {
  const page = await visitor.open();
  for (const person of people) await visitor.signIn(page, person);
  await page.goto(visitor.demo.url(PAGE));
  await isFor(page, people.at(-1));
  return page;
}

/** A tab beside others. */
async function openBeside(visitor, person) {
  const page = await visitor.open(PAGE);
  await isFor(page, person);
  return page;
}

async function shows(page, heading) {
  await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor();
}

const isFor = (page, person) => shows(page, person.name);
const note = (page) => page.getByRole('textbox', { name: /^A note of/ });
/** Not the menu in the header, which has much of the same. */
const main = (page) => page.getByRole('main');
/** The menu of accounts in the header. */
const menu = (page) => page.getByRole('navigation').getByRole('menu');

async function openMenu(page, person) {
  await page.getByRole('button', { name: `Account: ${person.name}` }).click();
  await menu(page).waitFor();
}

/** The chooser, with the page as the one to return to. */
const CHOOSER_AND_BACK = `${CHOOSER}?redirect_url=${encodeURIComponent(PAGE)}`;

async function switchTo(page, person) {
  await main(page).getByRole('button', { name: new RegExp(`^Switch ?: ${person.name}`) }).click();
  await isFor(page, person);
}

async function assertEmpty(page) {
  assert.equal(await note(page).inputValue(), '');
  assert.ok(!(await page.content()).includes(NOTE));
}

withDemo('the React page', {}, (test) => {
  test('shows no state of one account under another', async (visitor) => {
    const page = await openFor(visitor, ADA, GRACE);
    await note(page).fill(NOTE);
    await switchTo(page, ADA);
    await assertEmpty(page);
    await note(page).fill(`${NOTE} Me neither.`);

    // With the menu as well, and back to where a note was written.
    await openMenu(page, ADA);
    await menu(page).getByRole('menuitemradio', { name: GRACE.name }).click();
    await isFor(page, GRACE);
    await assertEmpty(page);
    assert.equal((await visitor.sessions()).active, await visitor.idOf(GRACE));
  });

  test('follows a switch in another tab, of its own kind or not', async (visitor) => {
    const page = await openFor(visitor, ADA, GRACE);
    const beside = await openBeside(visitor, GRACE);
    await note(page).fill(NOTE);
    await switchTo(beside, ADA);
    await isFor(page, ADA);
    await assertEmpty(page);

    // A page without script notifies no other tab. This one fetches the list when it gets the focus.
    await note(page).fill(NOTE);
    await beside.goto(visitor.demo.url('/me'));
    await visitor.switchTo(beside, GRACE);
    await page.evaluate(() => window.dispatchEvent(new Event('focus')));
    await isFor(page, GRACE);
    await assertEmpty(page);
  });

  test('follows a sign-out in another tab and activates no other account', async (visitor) => {
    visitor.expect(/\/api\/me: .* status of 40[19]/);
    const page = await openFor(visitor, ADA, GRACE);
    const beside = await openBeside(visitor, GRACE);
    await note(page).fill(NOTE);
    await main(beside).getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(beside, CHOOSER_AND_BACK, 'Choose an account');
    await shows(page, 'Choose an account');
    assert.ok(!(await page.content()).includes(NOTE));

    await page.getByRole('button', { name: `Continue as ${ADA.name}` }).click();
    await isFor(page, ADA);
    await assertEmpty(page);

    await beside.goto(visitor.demo.url(PAGE));
    await isFor(beside, ADA);
    await main(beside).getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(beside, '/', 'Nobody is signed in');
    await shows(page, 'You are signed out');
  });

  test('follows signing out of all in another tab', async (visitor) => {
    visitor.expect(/\/api\/me: .* status of 40[19]/);
    const page = await openFor(visitor, ADA, GRACE);
    const beside = await openBeside(visitor, GRACE);
    await main(beside).getByRole('button', { name: 'Sign out of all' }).click();
    await visitor.isAt(beside, '/', 'Nobody is signed in');
    await shows(page, 'You are signed out');
    assert.deepEqual(await visitor.sessions(), { active: null, sessions: [] });
  });

  test('keeps the account of a pinned tab', async (visitor) => {
    visitor.expect(/status of 409/);
    const page = await openFor(visitor, GRACE, ADA);
    const beside = await openBeside(visitor, ADA);
    await page.getByRole('checkbox', { name: `Keep this tab on ${ADA.name}` }).check();
    await note(page).fill(NOTE);

    const [asked] = await Promise.all([
      page.waitForResponse((response) => response.url().endsWith('/session')),
      switchTo(beside, GRACE),
    ]);
    const { active } = await asked.json();
    assert.equal(active, await visitor.idOf(ADA), 'it was notified, and its request named its session');
    await isFor(page, ADA);
    assert.equal(await note(page).inputValue(), NOTE);
    assert.equal(await visitor.lookAt(await visitor.open(), '/me'), `/me: ${GRACE.name}`);

    await page.reload();
    await isFor(page, ADA);
    await page.getByRole('checkbox', { name: `Keep this tab on ${ADA.name}`, checked: true }).waitFor();

    // It shows no other account when its own has signed out.
    await main(beside).getByRole('button', { name: `Sign out of ${ADA.name}` }).click();
    await shows(page, 'This tab’s account is no longer signed in');
    await isFor(beside, GRACE);
    await page.getByRole('button', { name: 'Follow the browser’s active account' }).click();
    await isFor(page, GRACE);
  });

  test('shows nothing of an account that signed out when the user goes back to it', async (visitor) => {
    visitor.expect(/\/api\/me: .* status of 40[19]/);
    const page = await openFor(visitor, ADA);
    await note(page).fill(NOTE);
    const history = await History.of(page);
    await page.goto(visitor.demo.url('/me'));
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, '/', 'Nobody is signed in');
    // `/me`, which is the form to sign in now.
    assert.match((await history.back()).url, /\/sign-in\?/);
    assert.ok((await history.back()).url.endsWith(PAGE));
    await until('the page to be signed out', async () => {
      const { html } = await history.look();
      for (const word of [NOTE, ADA.name, ADA.email]) assert.ok(!html.includes(word), word);
      return html.includes('You are signed out');
    });
  });

  test('is accessible and fits a phone', async (visitor) => {
    const page = await visitor.open(PAGE);
    const look = async () => {
      await assertAccessible(page);
      await assertFitsPhone(page);
    };
    await shows(page, 'You are signed out');
    await look();
    for (const person of [ADA, GRACE, LINUS]) await visitor.signIn(page, person);
    await page.goto(visitor.demo.url(PAGE));
    await isFor(page, LINUS);
    await page.getByText('maintainer').waitFor();
    await look();
    await openMenu(page, LINUS);
    await look();
    await page.keyboard.press('Escape');
    await menu(page).waitFor({ state: 'detached' });
    await page.getByRole('checkbox', { name: `Keep this tab on ${LINUS.name}` }).check();
    await look();
    await page.getByRole('checkbox', { name: `Keep this tab on ${LINUS.name}` }).uncheck();

    await main(page).getByRole('button', { name: 'Sign out', exact: true }).click();
    await visitor.isAt(page, CHOOSER_AND_BACK, 'Choose an account');
    await page.goto(visitor.demo.url(PAGE));
    await shows(page, 'Choose an account');
    await look();
  });

  test('is used with a keyboard alone', async (visitor) => {
    const page = await openFor(visitor, ADA, GRACE);
    for (const key of ['Tab', 'Tab', 'Tab', 'ArrowDown']) await page.keyboard.press(key);
    await menu(page).waitFor();
    await page.keyboard.press('Escape');
    await menu(page).waitFor({ state: 'detached' });
    // The focus is on the button again. A letter leads to the next entry that begins with it.
    for (const key of ['ArrowDown', 'a', 'Enter']) await page.keyboard.press(key);
    await isFor(page, ADA);
  });
});

withDemo('the React page, with renewals each second', { SESSION_RENEW_AFTER: '1s' }, (test) => {
  test('keeps its state when the session is renewed', async (visitor) => {
    const page = await openFor(visitor, ADA);
    await note(page).fill(NOTE);
    const tokens = async () =>
      (await visitor.cookies()).map(({ value }) => value).filter((value) => value.includes('.'));
    const [before] = await tokens();
    await until('a renewal', async () => {
      const [asked] = await Promise.all([
        page.waitForResponse((response) => response.url().endsWith('/session')),
        page.evaluate(() => window.dispatchEvent(new Event('focus'))),
      ]);
      await asked.finished();
      return (await tokens())[0] !== before;
    });
    await isFor(page, ADA);
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
    await isFor(page, ADA);
    await shows(page, 'Choose an account');
    const text = await page.getByRole('main').innerText();
    assert.ok(!text.includes(ADA.name) && text.includes(GRACE.name), text);
    assert.match(text, /Your session has expired/);
    assert.match(await visitor.lookAt(page, '/me'), /^\/sign-in\/choose/);
  });
});
