import { useCallback, useEffect, useRef, useState } from 'react';

import { Refused, request } from '../session/api';
import { object } from '../session/list';
import { useSession } from '../session/useSession';

/**
 * What `GET /api/me` says of the account that is shown. The request names its session: it is served as
 * that account or refused, whatever another tab made active meanwhile.
 */
export function useMe(id: string): {
  readonly role: string | null;
  readonly failed: boolean;
  readonly ask: () => Promise<void>;
} {
  const { refresh, refused } = useSession();
  const [role, setRole] = useState<string | null>(null);
  const [failed, setFailed] = useState(false);
  const latest = useRef(0);

  const ask = useCallback(async () => {
    const turn = ++latest.current;
    try {
      const { body } = await request(fetch, '/api/me', id);
      if (turn !== latest.current) return;
      const { role } = object(object(body).claims);
      setRole(typeof role === 'string' ? role : null);
      setFailed(false);
      // It was activity, so that the session ends later now.
      await refresh();
    } catch (error) {
      if (turn !== latest.current) return;
      const isOver = error instanceof Refused && (error.status === 409 || error.status === 401);
      if (isOver) await refused(id);
      else setFailed(true);
    }
  }, [id, refresh, refused]);

  useEffect(() => {
    void ask();
    return () => {
      latest.current++;
    };
  }, [ask]);
  return { role, failed, ask };
}
