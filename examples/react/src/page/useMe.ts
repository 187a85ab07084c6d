import { useCallback, useEffect, useRef, useState } from 'react';
import { useSessionClient } from 'tower-auth-session/react';

/** How long the page waits for its data, in milliseconds. */
const TIMEOUT = 10_000;

/**
 * The role of the account that is shown, from `GET /api/me`. The client's `fetch` names the session: the
 * server responds for that account or refuses the request, whichever account is active meanwhile.
 */
export function useMe(): {
  readonly role: string | null;
  readonly failed: boolean;
  readonly load: () => Promise<void>;
} {
  const { fetch, refresh } = useSessionClient();
  const [role, setRole] = useState<string | null>(null);
  const [failed, setFailed] = useState(false);
  const latest = useRef(0);

  const load = useCallback(async () => {
    const request = ++latest.current;
    const result = await loadRole(fetch);
    if (request !== latest.current) return;
    setFailed(result === null);
    if (typeof result?.role === 'string') setRole(result.role);
    // The request was activity, so the session expires later now.
    await refresh();
  }, [fetch, refresh]);

  useEffect(() => {
    void load();
    return () => {
      latest.current++;
    };
  }, [load]);
  return { role, failed, load };
}

/** `null` if there is no response. */
async function loadRole(send: typeof fetch): Promise<{ readonly role?: unknown } | null> {
  try {
    const response = await send('/api/me', {
      headers: { accept: 'application/json' },
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT),
    });
    // The client deals with sessions that are no longer signed in.
    if (response.status === 401 || response.status === 409) return {};
    if (!response.ok) return null;
    const { claims } = (await response.json()) as { readonly claims: { readonly role?: unknown } };
    return claims;
  } catch {
    return null;
  }
}
