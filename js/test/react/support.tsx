import { act, cleanup, render } from '@testing-library/react';
import { type ReactNode, StrictMode } from 'react';
import { afterEach, vi } from 'vitest';

import { SessionProvider, type SessionProviderProps } from '../../src/react/index.js';
import { type FakeServer, storage } from '../fake-server.js';

afterEach(cleanup);

/** Renders `children` in a tab of the browser whose accounts `server` has. */
export async function renderTab(
  server: FakeServer,
  children: ReactNode,
  props: Partial<SessionProviderProps> = {},
) {
  const navigate = vi.fn<(url: URL) => void>();
  const result = render(
    <StrictMode>
      <SessionProvider fetch={server.fetch} storage={storage()} navigate={navigate} {...props}>
        {children}
      </SessionProvider>
    </StrictMode>,
  );
  await settled(server);
  return {
    ...result,
    /** The pages that the tab was sent to. */
    visited: () => navigate.mock.calls.map(([url]) => url.href.replace(location.origin, '')),
  };
}

/** Waits until the responses have been rendered. */
export async function settled(server: FakeServer): Promise<void> {
  await act(() => server.idle());
}

/** The user looks at the page again. */
export async function comeBack(server: FakeServer): Promise<void> {
  await act(async () => {
    window.dispatchEvent(new Event('focus'));
    await new Promise((done) => setTimeout(done, 60));
    await server.idle();
  });
}
