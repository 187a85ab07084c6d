import { createContext, type ReactNode, useContext, useEffect, useState, useSyncExternalStore } from 'react';

import { type SessionOptions, type SessionState, SessionStore } from './store';

const Sessions = createContext<SessionStore | null>(null);

/** Around everything that asks who is signed in. `options` are read once. */
export function SessionProvider({
  children,
  options,
}: {
  readonly children: ReactNode;
  readonly options?: SessionOptions;
}) {
  const [store] = useState(() => new SessionStore(options));
  useEffect(store.start, [store]);
  return <Sessions value={store}>{children}</Sessions>;
}

/** What [`useSession`] gives: what is known, and what can be done. */
export type UseSession = SessionState &
  Pick<
    SessionStore,
    | 'refresh'
    | 'switchTo'
    | 'signOut'
    | 'signOutOfAll'
    | 'keepAccount'
    | 'followBrowser'
    | 'refused'
    | 'dismissProblem'
    | 'now'
  >;

/** Who is signed in from this browser, over `GET /session`. */
export function useSession(): UseSession {
  const store = useContext(Sessions);
  if (store === null) throw new Error('useSession() needs a SessionProvider around it');
  const state = useSyncExternalStore(store.subscribe, store.current);
  const { refresh, switchTo, signOut, signOutOfAll, keepAccount, followBrowser, refused } = store;
  const { dismissProblem, now } = store;
  return {
    ...state,
    refresh,
    switchTo,
    signOut,
    signOutOfAll,
    keepAccount,
    followBrowser,
    refused,
    dismissProblem,
    now,
  };
}
