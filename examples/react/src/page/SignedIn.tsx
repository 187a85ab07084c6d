import type { Session } from 'tower-auth-session';
import { useSessionClient, useSessionState } from 'tower-auth-session/react';

import { AccountList } from './AccountList';
import { Avatar } from './Avatar';
import { Draft } from './Draft';
import { EndingSoon } from './EndingSoon';
import { SIGN_IN } from './links';
import { useChange } from './useChange';
import { useMe } from './useMe';

/** The page of one account. */
export function SignedIn({ session }: { readonly session: Session }) {
  const { pinnedSessionId } = useSessionState();
  const { role, failed, load } = useMe();
  return (
    <>
      <EndingSoon session={session} />
      <p className="state on">
        {pinnedSessionId === null
          ? 'The active account of this browser'
          : 'This tab is pinned to its account'}
      </p>
      <section className="profile">
        <Avatar name={session.label} />
        <div>
          <h1 tabIndex={-1}>{session.label}</h1>
          <p>{session.detail}</p>
        </div>
        {role !== null && <p className="pill">{role}</p>}
        {failed && (
          <button type="button" className="quiet" onClick={load}>
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
  const { pinTab, unpinTab, signOut } = useSessionClient();
  const { pinnedSessionId, isBusy } = useSessionState();
  const change = useChange();
  const isPinned = pinnedSessionId !== null;
  return (
    <section className="card">
      <h2>This tab</h2>
      <label className="check">
        <input
          type="checkbox"
          checked={isPinned}
          aria-describedby="tab-note"
          onChange={({ target }) => void (target.checked ? pinTab() : unpinTab())}
        />
        <span>Keep this tab on {session.label}</span>
      </label>
      <p className="note" id="tab-note">
        {isPinned
          ? 'The tab names its session in every request: other tabs can switch, this one does not.'
          : 'The tab follows the browser: a switch or a sign-out in another tab applies here too.'}
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
          <dt>Expires without further activity</dt>
          <dd>
            <Instant at={session.expiresAt} />
          </dd>
        </div>
      </dl>
      <button
        type="button"
        className="quiet"
        aria-disabled={isBusy}
        onClick={() => change(() => signOut())}
      >
        Sign out
      </button>
    </section>
  );
}

function Others({ session }: { readonly session: Session }) {
  const { signOut } = useSessionClient();
  const { sessions, isBusy } = useSessionState();
  const change = useChange();
  const others = sessions.filter(({ id }) => id !== session.id);
  return (
    <section className="card">
      <h2>Other accounts</h2>
      {others.length > 0 ? (
        <AccountList accounts={others} />
      ) : (
        <p>No other account is signed in from this browser.</p>
      )}
      <div className="actions">
        <a className="button" href={SIGN_IN}>
          Add account
        </a>
        {others.length > 0 && (
          <button
            type="button"
            className="quiet"
            aria-disabled={isBusy}
            onClick={() => change(() => signOut({ scope: 'browser' }))}
          >
            Sign out of all
          </button>
        )}
      </div>
    </section>
  );
}

const FORMAT = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'medium' });

function Instant({ at }: { readonly at: Date }) {
  return <time dateTime={at.toISOString()}>{FORMAT.format(at)}</time>;
}
