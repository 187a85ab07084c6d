import { Changes } from './page/Changes';
import { NoSession } from './page/NoSession';
import { Notices } from './page/Notices';
import { SignedIn } from './page/SignedIn';
import { SIGN_IN } from './page/links';
import { Switcher } from './page/Switcher';
import { MultisessionAppSupport } from './session/MultisessionAppSupport';
import type { SessionOptions } from './session/store';
import { SessionProvider, useSession } from './session/useSession';

export function App({ options = {} }: { readonly options?: SessionOptions }) {
  return (
    <SessionProvider options={options}>
      <Changes />
      <MultisessionAppSupport>
        <Page />
      </MultisessionAppSupport>
    </SessionProvider>
  );
}

function Page() {
  const { known, session } = useSession();
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
          {session ? <Switcher session={session} /> : known && <a href={SIGN_IN}>Sign in</a>}
        </nav>
      </header>
      <main id="main">
        <Notices />
        {session ? <SignedIn session={session} /> : <NoSession />}
      </main>
      <footer>
        <p>
          The React page of <strong>tower-auth-session</strong>’s demo. It knows who is signed in
          from <code>GET /session</code>; the cookies are out of its reach.
        </p>
      </footer>
    </>
  );
}
