import type { SessionRequestError } from 'tower-auth-session';
import { useSessionClient, useSessionState } from 'tower-auth-session/react';

/** What went wrong between this page and the server. */
export function Notices() {
  const { refresh, dismissError } = useSessionClient();
  const { isLoaded, isStale, error } = useSessionState();
  return (
    <>
      <div role="status">
        {isStale && (
          <div className="notice">
            <p>
              The server does not respond.{' '}
              {isLoaded && 'The page shows the last known state, which may have changed. '}
              The page tries again by itself.
            </p>
            <button type="button" className="quiet" onClick={refresh}>
              Try again
            </button>
          </div>
        )}
      </div>
      <div role="alert">
        {error !== null && (
          <div className="notice bad">
            <p>{describe(error)}</p>
            <button type="button" className="quiet" onClick={dismissError}>
              Close<span className="spoken"> this message</span>
            </button>
          </div>
        )}
      </div>
    </>
  );
}

function describe({ status }: SessionRequestError): string {
  if (status === null) return 'The server did not respond, so the change may not have been made.';
  return status === 409
    ? 'That account is no longer signed in from this browser.'
    : `The server refused the change (${status}).`;
}
