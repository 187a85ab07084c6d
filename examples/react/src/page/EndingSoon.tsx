import { useEffect, useState } from 'react';
import type { Session } from 'tower-auth-session';
import { useSessionClient, useSessionState } from 'tower-auth-session/react';

import { SIGN_IN } from './links';

/** Warns that the session expires soon, while the user can still do something about it. */
export function EndingSoon({ session }: { readonly session: Session }) {
  const { endsSoon } = useSessionState();
  return <div role="alert">{endsSoon && <Warning session={session} />}</div>;
}

function Warning({ session }: { readonly session: Session }) {
  const { touch, getState } = useSessionClient();
  const left = useSecondsLeft(session.expiresAt);
  // At its maximum lifetime, activity does not make a session longer.
  const [isFixed, setFixed] = useState(false);
  return (
    <div className="notice">
      <p>
        {isFixed
          ? 'This session cannot be extended. Sign in again to continue.'
          : 'This session expires in less than a minute, unless you continue.'}{' '}
        {/* Announced once, not every second. */}
        <strong aria-hidden="true">{Math.max(left, 0)} s</strong>
      </p>
      {isFixed ? (
        <a className="button" href={SIGN_IN}>
          Sign in again
        </a>
      ) : (
        <button
          type="button"
          onClick={() => touch().then((isLonger) => setFixed(!isLonger && !getState().isStale))}
        >
          Stay signed in
        </button>
      )}
    </div>
  );
}

function useSecondsLeft(end: Date): number {
  const { now } = useSessionClient();
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const count = () => setSeconds(Math.ceil((end.getTime() - now().getTime()) / 1000));
    count();
    const timer = setInterval(count, 1000);
    return () => clearInterval(timer);
  }, [end, now]);
  return seconds;
}
