import { useSession } from '../session/useSession';

/** What went wrong between this page and the server. */
export function Notices() {
  const { known, stale, problem, refresh, dismissProblem } = useSession();
  return (
    <>
      <div role="status">
        {stale && (
          <div className="notice">
            <p>
              The server does not answer.{' '}
              {known && 'You see what was known before; it may have changed. '}
              It is asked again by itself.
            </p>
            <button type="button" className="quiet" onClick={refresh}>
              Try again
            </button>
          </div>
        )}
      </div>
      <div role="alert">
        {problem !== null && (
          <div className="notice bad">
            <p>{problem}</p>
            <button type="button" className="quiet" onClick={dismissProblem}>
              Close<span className="spoken"> this message</span>
            </button>
          </div>
        )}
      </div>
    </>
  );
}
