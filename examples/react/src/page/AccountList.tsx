import type { Session } from '../session/list';
import { useSession } from '../session/useSession';
import { Avatar } from './Avatar';

/** Accounts that can be shown instead, and signed out. */
export function AccountList({ accounts }: { readonly accounts: readonly Session[] }) {
  const { session, pinned, busy, switchTo, signOut } = useSession();
  const use = pinned !== null ? 'Use in this tab' : session === null ? 'Continue' : 'Switch';
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
            aria-disabled={busy}
            onClick={() => switchTo(id)}
          >
            {use}
            <span className="spoken">{session === null ? ` as ${label}` : `: ${label}`}</span>
          </button>
          <button type="button" className="quiet" aria-disabled={busy} onClick={() => signOut(id)}>
            Sign out<span className="spoken"> of {label}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}
