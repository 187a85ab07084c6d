import { Fragment, type ReactNode } from 'react';

import { useSessionState } from './provider.js';

export interface MultisessionAppSupportProps {
  readonly children: ReactNode;
  /**
   * The session that a server rendered `children` for: `active` of the list that it fetched. Until the
   * server has rendered them for the session that this tab shows, `fallback` is shown instead.
   */
  readonly renderedFor?: string | null | undefined;
  readonly fallback?: ReactNode;
}

/**
 * Recreates `children` whenever this tab shows another session, so that no state of one account is
 * seen under another. A renewal keeps the session's id, and with it everything on the page.
 */
export function MultisessionAppSupport({
  children,
  renderedFor,
  fallback = null,
}: MultisessionAppSupportProps) {
  const { isLoaded, session } = useSessionState();
  const id = session?.id ?? null;
  const isOther = renderedFor !== undefined && isLoaded && renderedFor !== id;
  return <Fragment key={id ?? 'no-users'}>{isOther ? fallback : children}</Fragment>;
}
