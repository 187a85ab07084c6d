import type { Session } from '../session/list';
import { useSession } from '../session/useSession';
import { AccountList } from './AccountList';
import { Avatar } from './Avatar';
import { Draft } from './Draft';
import { EndingSoon } from './EndingSoon';
import { SIGN_IN } from './links';
import { useMe } from './useMe';

/** The page of one account. */
export function SignedIn({ session }: { readonly session: Session }) {
  const { pinned } = useSession();
  const { role, failed, ask } = useMe(session.id);
  return (
    <>
      <EndingSoon session={session} goOn={ask} />
      <p className="state on">
        {pinned === null ? 'The active account of this browser' : 'This tab keeps its account'}
      </p>
      <section className="profile">
        <Avatar name={session.label} />
        <div>
          <h1 tabIndex={-1}>{session.label}</h1>
          <p>{session.detail}</p>
        </div>
        {role !== null && <p className="pill">{role}</p>}
        {failed && (
          <button type="button" className="quiet" onClick={ask}>
            Load the profile again
          </button>
        )}
      </section>
      <Draft name={session.label} />
      <ThisTab session={session} />
      <Others session={session} />
    </>
  );
}

function ThisTab({ session }: { readonly session: Session }) {
  const { pinned, busy, keepAccount, followBrowser, signOut } = useSession();
  return (
    <section className="card">
      <h2>This tab</h2>
      <label className="check">
        <input
          type="checkbox"
          checked={pinned !== null}
          aria-describedby="tab-note"
          onChange={({ target }) => (target.checked ? keepAccount() : void followBrowser())}
        />
        <span>Keep this tab on {session.label}</span>
      </label>
      <p className="note" id="tab-note">
        {pinned === null
          ? 'It follows the browser: a switch or a sign-out in another tab is one here too.'
          : 'It names its session with every request: other tabs may switch, this one stays.'}
      </p>
      <dl>
        <div>
          <dt>Session id</dt>
          <dd>
            <code>{session.id}</code>
          </dd>
        </div>
        <div>
          <dt>Signed in</dt>
          <dd>
            <Instant at={session.signedInAt} />
          </dd>
        </div>
        <div>
          <dt>Ends without more activity</dt>
          <dd>
            <Instant at={session.expiresAt} />
          </dd>
        </div>
      </dl>
      <button
        type="button"
        className="quiet"
        aria-disabled={busy}
        onClick={() => signOut(session.id)}
      >
        Sign out
      </button>
    </section>
  );
}

function Others({ session }: { readonly session: Session }) {
  const { sessions, busy, signOutOfAll } = useSession();
  const others = sessions.filter(({ id }) => id !== session.id);
  return (
    <section className="card">
      <h2>Other accounts</h2>
      {others.length > 0 ? (
        <AccountList accounts={others} />
      ) : (
        <p>Nobody else is signed in from this browser.</p>
      )}
      <div className="actions">
        <a className="button" href={SIGN_IN}>
          Add account
        </a>
        {others.length > 0 && (
          <button type="button" className="quiet" aria-disabled={busy} onClick={signOutOfAll}>
            Sign out of all
          </button>
        )}
      </div>
    </section>
  );
}

const FORMAT = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'medium' });

/** A point in time: unix seconds. */
function Instant({ at }: { readonly at: number }) {
  const date = new Date(at * 1000);
  return <time dateTime={date.toISOString()}>{FORMAT.format(date)}</time>;
}
