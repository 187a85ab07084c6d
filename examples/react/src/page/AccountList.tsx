import type { Session } from 'tower-auth-session';
import { useSessionClient, useSessionState } from 'tower-auth-session/react';

import { Avatar } from './Avatar';
import { useChange } from './useChange';

/** Accounts that can be shown instead, and signed out. */
export function AccountList({ accounts }: { readonly accounts: readonly Session[] }) {
  const { setActive, signOut } = useSessionClient();
  const { session, pinnedSessionId, isBusy } = useSessionState();
  const change = useChange();
  const use = pinnedSessionId !== null ? 'Use in this tab' : session === null ? 'Continue' : 'Switch';
  return (
    <ul role="list" className="accounts">
      {accounts.map(({ id, label, detail }) => (
        <li key={id}>
          <Avatar name={label} />
          <p>
            {label}
            {detail !== null && <small>{detail}</small>}
          </p>
          <button
            type="button"
            className={session === null ? '' : 'quiet'}
            aria-disabled={isBusy}
            onClick={() => change(() => setActive({ session: id }))}
          >
            {use}
            <span className="spoken">{session === null ? ` as ${label}` : `: ${label}`}</span>
          </button>
          <button
            type="button"
            className="quiet"
            aria-disabled={isBusy}
            onClick={() => change(() => signOut({ sessionId: id }))}
          >
            Sign out<span className="spoken"> of {label}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}
