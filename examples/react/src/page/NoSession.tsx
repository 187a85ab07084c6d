import type { ReactNode } from 'react';
import { useSessionClient, useSessionState } from 'tower-auth-session/react';

import { AccountList } from './AccountList';
import { SIGN_IN } from './links';
import { useChange } from './useChange';

/** What there is to see while no account is shown. */
export function NoSession() {
  const { signOut, unpinTab } = useSessionClient();
  const { isLoaded, sessions, pinnedSessionId, endReason, isStale, isBusy } = useSessionState();
  const change = useChange();
  const expired = endReason === 'expired' && 'Your session has expired. ';

  if (!isLoaded) {
    return isStale ? (
      <Hero state="No response" title="The server does not respond">
        You have not been signed out. The page continues as soon as the server responds.
      </Hero>
    ) : (
      <p className="state" role="status">
        Checking who is signed in…
      </p>
    );
  }

  if (pinnedSessionId !== null) {
    return (
      <>
        <Hero state="This tab has no account" title="This tab’s account is no longer signed in">
          The tab is pinned to one account, and its session has ended. The tab shows another account
          only if you choose one.
        </Hero>
        {sessions.length > 0 && <Accounts title="In this browser" />}
        <div className="actions">
          {sessions.length > 0 && (
            <button type="button" className="quiet" onClick={unpinTab}>
              Follow the browser’s active account
            </button>
          )}
          {/* The tab then shows the account that signs in. */}
          <a
            className={sessions.length > 0 ? 'button quiet' : 'button'}
            href={SIGN_IN}
            onClick={() => void unpinTab()}
          >
            Sign in
          </a>
        </div>
      </>
    );
  }

  if (sessions.length > 0) {
    return (
      <>
        <Hero state="No account is active" title="Choose an account">
          {expired}No other account becomes active until you choose one.
        </Hero>
        <Accounts title="In this browser" />
        <div className="actions">
          <a className="button quiet" href={SIGN_IN}>
            Add account
          </a>
          <button
            type="button"
            className="quiet"
            aria-disabled={isBusy}
            onClick={() => change(() => signOut({ scope: 'browser' }))}
          >
            Sign out of all
          </button>
        </div>
      </>
    );
  }

  return (
    <>
      <Hero state="Signed out" title="You are signed out">
        {expired}
        {endReason === 'signed-out-elsewhere' && 'You were signed out in another tab or page. '}
        Sign in as one of seven people, no password needed. Then add another
        account and open this page in two tabs.
      </Hero>
      <div className="actions">
        <a className="button" href={SIGN_IN}>
          Sign in
        </a>
      </div>
    </>
  );
}

function Hero({
  state,
  title,
  children,
}: {
  readonly state: string;
  readonly title: string;
  readonly children: ReactNode;
}) {
  return (
    <section>
      <p className="state">{state}</p>
      <h1 tabIndex={-1}>{title}</h1>
      <p className="lead">{children}</p>
    </section>
  );
}

function Accounts({ title }: { readonly title: string }) {
  const { sessions } = useSessionState();
  return (
    <section className="card">
      <h2>{title}</h2>
      <AccountList accounts={sessions} />
    </section>
  );
}
