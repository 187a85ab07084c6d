import {
  MultisessionAppSupport,
  SessionProvider,
  type SessionProviderProps,
  UserButton,
  useSession,
} from 'tower-auth-session/react';

import { Changes } from './page/Changes';
import { NoSession } from './page/NoSession';
import { Notices } from './page/Notices';
import { SignedIn } from './page/SignedIn';
import { SIGN_IN } from './page/links';

/** The application. `options` are for tests. */
export function App({ options = {} }: { readonly options?: Partial<SessionProviderProps> }) {
  return (
    <SessionProvider signInUrl={SIGN_IN} {...options}>
      <Changes />
      <MultisessionAppSupport>
        <Page />
      </MultisessionAppSupport>
    </SessionProvider>
  );
}

function Page() {
  const { session } = useSession();
  return (
    <>
      <title>{`${session?.label ?? 'Several accounts'} · Accounts`}</title>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header>
        <a className="brand" href="/">
          Accounts
        </a>
        <nav aria-label="Account">
          <UserButton showName userProfileUrl="/me" />
        </nav>
      </header>
      <main id="main">
        <Notices />
        {session ? <SignedIn session={session} /> : <NoSession />}
      </main>
      <footer>
        <p>
          The React page of the <strong>tower-auth-session</strong> demo. It learns who is signed in
          from <code>GET /session</code>; scripts cannot read the cookies.
        </p>
      </footer>
    </>
  );
}
