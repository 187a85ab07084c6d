import { useEffect, useState } from 'react';

import type { Session } from '../session/list';
import { useSession } from '../session/useSession';
import { SIGN_IN } from './links';

/** From how many seconds before its end a session is said to end. */
const SOON = 60;

/** Says that the session is about to end, while there is something to be done about it. */
export function EndingSoon({
  session,
  goOn,
}: {
  readonly session: Session;
  /** Is activity. */
  readonly goOn: () => Promise<void>;
}) {
  const left = useSecondsLeft(session.expiresAt);
  // The end that activity did not put off.
  const [fixed, setFixed] = useState<number | null>(null);
  const tried = fixed === session.expiresAt;
  const soon = left <= SOON;
  return (
    <div role="alert">
      {soon && (
        <div className="notice">
          <p>
            {tried
              ? 'This session cannot be made longer. Sign in again to go on.'
              : 'This session ends in less than a minute, unless you go on.'}{' '}
            {/* Spoken once, not every second. */}
            <strong aria-hidden="true">{Math.max(left, 0)} s</strong>
          </p>
          {tried ? (
            <a className="button" href={SIGN_IN}>
              Sign in again
            </a>
          ) : (
            <button type="button" onClick={() => goOn().then(() => setFixed(session.expiresAt))}>
              Stay signed in
            </button>
          )}
        </div>
      )}
    </div>
  );
}

function useSecondsLeft(end: number): number {
  const { now } = useSession();
  const [seconds, setSeconds] = useState(() => Math.ceil(end - now()));
  useEffect(() => {
    const count = () => setSeconds(Math.ceil(end - now()));
    count();
    const timer = setInterval(count, 1000);
    return () => clearInterval(timer);
  }, [end, now]);
  return seconds;
}
