// Waiting for a condition.

import assert from 'node:assert/strict';

/** How long a test waits for one thing. */
export const TIMEOUT_MS = 15_000;

/** Waits until `probe` returns something true, and returns it. */
export async function until(condition, probe, timeout = TIMEOUT_MS) {
  const end = Date.now() + timeout;
  for (;;) {
    const found = await probe();
    if (found) return found;
    assert.ok(Date.now() < end, `timed out waiting until ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
