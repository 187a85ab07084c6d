// The back button. Playwright loses a page that Chromium restores from its back/forward cache, so this
// uses Chromium's own protocol.

import { until } from './until.js';

export class History {
  #devtools;
  /** How Chromium showed the last page: `Navigation` or `BackForwardCacheRestore`. */
  navigationType;
  /** Why Chromium did not restore the last page from the cache. */
  notRestoredReason = '';

  static async of(page) {
    const history = new History();
    const devtools = await page.context().newCDPSession(page);
    history.#devtools = devtools;
    devtools.on('Page.backForwardCacheNotUsed', ({ notRestoredExplanations }) => {
      history.notRestoredReason = notRestoredExplanations.map(({ reason }) => reason).join(', ');
    });
    await devtools.send('Page.enable');
    return history;
  }

  /** Goes back one page, as the button does, and returns the URL and the HTML of the page shown then. */
  async back() {
    const devtools = this.#devtools;
    const { entries, currentIndex } = await devtools.send('Page.getNavigationHistory');
    const shown = new Promise((resolve) => devtools.once('Page.frameNavigated', resolve));
    await devtools.send('Page.navigateToHistoryEntry', { entryId: entries[currentIndex - 1].id });
    this.navigationType = (await shown).type;
    return this.shownPage();
  }

  /** The URL and the HTML of the page shown now. */
  shownPage() {
    return until('the page has loaded', async () => {
      const { result } = await this.#devtools.send('Runtime.evaluate', {
        expression: `document.readyState === 'complete'
          && { url: location.href, html: document.documentElement.outerHTML }`,
        returnByValue: true,
      });
      return result.value;
    });
  }
}
