import { useSessionState } from 'tower-auth-session/react';

/**
 * Runs a switch or a sign-out, unless another one is in progress. If it fails, `Notices` shows the
 * reason.
 */
export function useChange(): (change: () => Promise<void>) => void {
  const { isBusy } = useSessionState();
  return (change) => {
    if (!isBusy) void change().catch(() => {});
  };
}
