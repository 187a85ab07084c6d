import { Fragment, type ReactNode } from 'react';

import { useSession } from './useSession';

/**
 * Recreates `children` whenever another session is shown, so that no state of one account is ever seen
 * under another. A renewal keeps the session's id, and with it everything that is on the page.
 */
export function MultisessionAppSupport({ children }: { readonly children: ReactNode }) {
  const { session } = useSession();
  return <Fragment key={session ? session.id : 'no-users'}>{children}</Fragment>;
}
