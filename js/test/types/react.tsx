import type { ReactNode } from 'react';
import { type Session, SessionClient, type SessionListJson } from 'tower-auth-session';
import {
  MultisessionAppSupport,
  SessionProvider,
  UserButton,
  useSession,
  useSessionClient,
  useSessionList,
  useSessionState,
} from 'tower-auth-session/react';

export function Layout({ children, list }: { children: ReactNode; list: SessionListJson | null }) {
  return (
    <SessionProvider afterMultiSessionSingleSignOutUrl="/" signInUrl="/sign-in" initialState={list}>
      <MultisessionAppSupport renderedFor={list?.active} fallback={<p>Loading</p>}>
        <UserButton showName align="start" colorScheme="dark" texts={{ signOut: 'Abmelden' }} />
        {children}
      </MultisessionAppSupport>
    </SessionProvider>
  );
}

export function Own({ client, children }: { client: SessionClient; children: ReactNode }) {
  return <SessionProvider client={client}>{children}</SessionProvider>;
}

export function Page() {
  const { isLoaded, isSignedIn, session } = useSession();
  const list = useSessionList();
  const { endsSoon, endReason, isStale } = useSessionState();
  const { signOut } = useSessionClient();
  if (!isLoaded) {
    const unknown: undefined = session;
    return <p>{unknown}</p>;
  }
  if (!isSignedIn) {
    const none: null = session;
    return <p>{none}</p>;
  }
  const signedIn: Session = session;
  const sessions: readonly Session[] = list.isLoaded ? list.sessions : [];
  // @ts-expect-error: not known to be loaded.
  list.sessions.map(({ id }) => id);
  // @ts-expect-error: no such prop.
  const wrong = <UserButton afterSignOutURL="/" />;
  // @ts-expect-error: children are required.
  const empty = <SessionProvider />;
  return (
    <button type="button" onClick={() => signOut()}>
      {signedIn.label} {sessions.length} {endsSoon && endReason} {isStale} {wrong} {empty}
    </button>
  );
}
