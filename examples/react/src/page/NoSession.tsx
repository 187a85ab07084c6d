import type { ReactNode } from 'react';

import { useSession } from '../session/useSession';
import { AccountList } from './AccountList';
import { SIGN_IN } from './links';

/** What there is to see while no account is shown. */
export function NoSession() {
  const { known, sessions, pinned, ended, stale, busy, followBrowser, signOutOfAll } = useSession();
  const expired = ended === 'expired' && 'Your session has run out. ';

  if (!known) {
    return stale ? (
      <Hero state="No answer" title="We cannot tell who you are">
        Nobody has been signed out. This page goes on as soon as the server answers.
      </Hero>
    ) : (
      <p className="state" role="status">
        Asking who is signed in…
      </p>
    );
  }

  if (pinned !== null) {
    return (
      <>
        <Hero state="This tab has no account" title="This tab’s account is not signed in any more">
          The tab was kept on one account, whose session has ended. It shows no other account in its
          place until you say so.
        </Hero>
        {sessions.length > 0 && <Accounts title="In this browser" />}
        <div className="actions">
          {sessions.length > 0 && (
            <button type="button" className="quiet" onClick={followBrowser}>
              Follow the browser’s active account
            </button>
          )}
          {/* Whoever signs in here wants to see that account here. */}
          <a
            className={sessions.length > 0 ? 'button quiet' : 'button'}
            href={SIGN_IN}
            onClick={() => void followBrowser()}
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
          {expired}Nobody takes the place of an account that is gone until you choose.
        </Hero>
        <Accounts title="In this browser" />
        <div className="actions">
          <a className="button quiet" href={SIGN_IN}>
            Add account
          </a>
          <button type="button" className="quiet" aria-disabled={busy} onClick={signOutOfAll}>
            Sign out of all
          </button>
        </div>
      </>
    );
  }

  return (
    <>
      <Hero state="Signed out" title="Nobody is signed in">
        {expired}
        {ended === 'elsewhere' && 'You were signed out in another tab or page. '}
        Sign in as one of seven pioneers of computing, no password needed. Then add another
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
  const { sessions } = useSession();
  return (
    <section className="card">
      <h2>{title}</h2>
      <AccountList accounts={sessions} />
    </section>
  );
}
