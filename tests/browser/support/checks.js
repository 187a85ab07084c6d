// Checks for every page: accessible, no wider than a phone, usable with a keyboard alone.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The smallest phones, and pages that are enlarged to 400 % (WCAG 1.4.10). */
export const PHONE = { width: 320, height: 640 };

/** Checks every rule of axe-core, in the light and in the dark color scheme. */
export async function assertAccessible(page) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    // Wait until the colors have changed.
    await page.evaluate(() => Promise.all(document.getAnimations().map(({ finished }) => finished)));
    await page.evaluate(AXE);
    const { passes, violations } = await page.evaluate(() =>
      // With preloading, axe would fetch the page's files again, which strict policies forbid.
      window.axe.run(document, { preload: false }),
    );
    assert.ok(passes.some(({ id }) => id === 'color-contrast'), 'axe checked some text');
    const found = violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id} (${help}): ${target} ${failureSummary}`),
    );
    assert.deepEqual(found, [], `${page.url()} in ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: null });
}

/** Checks that a phone shows the page without horizontal scrolling, and with nothing cut off. */
export async function assertFitsPhone(page) {
  const before = page.viewportSize();
  await page.setViewportSize(PHONE);
  const { scroll, client, outside } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.scrollingElement;
    const outside = [...document.querySelectorAll('body *')]
      // Texts for screen readers have no place on the screen.
      .filter((element) => !element.closest('.aside, .spoken, .skip'))
      .filter((element) => {
        const { left, right, width } = element.getBoundingClientRect();
        return width > 0 && (left < -0.5 || right > clientWidth + 0.5);
      });
    return {
      scroll: scrollWidth,
      client: clientWidth,
      outside: outside.map((element) => element.outerHTML.slice(0, 100)),
    };
  });
  assert.equal(client, PHONE.width);
  assert.ok(scroll <= client, `${page.url()} is ${scroll} px wide on a phone of ${client} px`);
  assert.deepEqual(outside, [], `${page.url()} on a phone`);
  await page.setViewportSize(before);
}

/**
 * Presses Tab from the start of the page to its end, and returns the texts of the elements that had the
 * focus. Each must show its focus, and they must come in reading order.
 */
export async function walk(page) {
  const stops = [];
  for (;;) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const { left, top, bottom, width, height } = element.getBoundingClientRect();
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      return {
        text: (element.innerText || element.getAttribute('aria-label') || element.name || '')
          .replace(/\s+/g, ' ')
          .trim(),
        rect: { left, top, bottom, width, height },
        inView: top >= 0 && bottom <= innerHeight && width > 0 && height > 0,
        ring: element.matches(':focus-visible') && outlineStyle !== 'none' ? parseFloat(outlineWidth) : 0,
      };
    });
    if (!stop) break;
    assert.ok(stop.inView, `“${stop.text}” has the focus outside the viewport`);
    assert.ok(stop.ring >= 2, `“${stop.text}” has the focus without a visible ring`);
    await assertFocusIsVisible(page, stop);
    const last = stops.at(-1);
    if (last) {
      const below = stop.rect.top >= last.rect.bottom - 1;
      const beside = stop.rect.left > last.rect.left && stop.rect.bottom > last.rect.top;
      assert.ok(below || beside, `“${stop.text}” has the focus after “${last.text}” but is before it`);
    }
    stops.push(stop);
    assert.ok(stops.length < 100, 'Tab leaves the page in the end');
  }
  return stops.map(({ text }) => text);
}

/** Compares screenshots, because another element may cover or cut off the ring. */
async function assertFocusIsVisible(page, { text, rect }) {
  const clip = {
    x: Math.max(0, rect.left - 8),
    y: Math.max(0, rect.top - 8),
    width: rect.width + 16,
    height: rect.height + 16,
  };
  const focused = await page.screenshot({ clip });
  const element = await page.evaluateHandle(() => {
    const element = document.activeElement;
    element.blur();
    return element;
  });
  const unfocused = await page.screenshot({ clip });
  await element.evaluate((one) => one.focus({ focusVisible: true }));
  await element.dispose();
  assert.ok(!focused.equals(unfocused), `“${text}” looks the same with and without the focus`);
}

/** Presses Tab until `text` has the focus, then Enter. */
export async function tabToAndEnter(page, text) {
  for (let presses = 0; ; presses += 1) {
    await page.keyboard.press('Tab');
    const focused = await page.evaluate(() =>
      document.activeElement.innerText.replace(/\s+/g, ' ').trim(),
    );
    if (focused === text) break;
    assert.ok(presses < 100, `Tab does not reach “${text}”`);
  }
  await page.keyboard.press('Enter');
}
