// The back button. Playwright loses a page that Chromium brings back from its memory (the back/forward
// cache), so this asks Chromium itself.

import { until } from './suite.js';

export class History {
  #tools;
  /** How the last document came: `Navigation` or `BackForwardCacheRestore`. */
  how;
  /** Why the last one did not come from memory. */
  why = '';

  static async of(page) {
    const history = new History();
    const tools = await page.context().newCDPSession(page);
    history.#tools = tools;
    tools.on('Page.backForwardCacheNotUsed', ({ notRestoredExplanations }) => {
      history.why = notRestoredExplanations.map(({ reason }) => reason).join(', ');
    });
    await tools.send('Page.enable');
    return history;
  }

  /** Goes back one page, as the button does, and gives the address and the HTML of what is shown. */
  async back() {
    const tools = this.#tools;
    const { entries, currentIndex } = await tools.send('Page.getNavigationHistory');
    const shown = new Promise((resolve) => tools.once('Page.frameNavigated', resolve));
    await tools.send('Page.navigateToHistoryEntry', { entryId: entries[currentIndex - 1].id });
    this.how = (await shown).type;
    return this.look();
  }

  /** What is shown now. */
  look() {
    return until('the page to be there', async () => {
      const { result } = await this.#tools.send('Runtime.evaluate', {
        expression: `document.readyState === 'complete'
          && { url: location.href, html: document.documentElement.outerHTML }`,
        returnByValue: true,
      });
      return result.value;
    });
  }
}
