import type { SetActiveOptions } from '../options.js';
import type { Session } from '../session.js';
import { useSessionClient, useSessionState } from './provider.js';

/** What [`useSession`] returns. */
export type UseSession =
  | { readonly isLoaded: false; readonly isSignedIn: undefined; readonly session: undefined }
  | { readonly isLoaded: true; readonly isSignedIn: false; readonly session: null }
  | { readonly isLoaded: true; readonly isSignedIn: true; readonly session: Session };

/** The session that this tab shows. Pending sessions count as signed out. */
export function useSession(): UseSession {
  const { isLoaded, session } = useSessionState();
  if (!isLoaded) return { isLoaded, isSignedIn: undefined, session: undefined };
  return session === null
    ? { isLoaded, isSignedIn: false, session }
    : { isLoaded, isSignedIn: true, session };
}

/** What [`useSessionList`] returns. */
export type UseSessionList =
  | { readonly isLoaded: false; readonly sessions: undefined; readonly setActive: undefined }
  | {
      readonly isLoaded: true;
      readonly sessions: readonly Session[];
      readonly setActive: (options: SetActiveOptions) => Promise<void>;
    };

/** All accounts of this browser, pending ones too, and the function that switches between them. */
export function useSessionList(): UseSessionList {
  const { setActive } = useSessionClient();
  const { isLoaded, sessions } = useSessionState();
  return isLoaded
    ? { isLoaded, sessions, setActive }
    : { isLoaded, sessions: undefined, setActive: undefined };
}
