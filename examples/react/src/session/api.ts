import { object } from './list';

/** How long an answer may take, in milliseconds. */
const PATIENCE = 10_000;

/** An answer that is a refusal. `status` is 409 where the session that was named is not signed in here. */
export class Refused extends Error {
  constructor(readonly status: number) {
    super(`refused with ${status}`);
  }
}

export interface Answer {
  readonly body: unknown;
  /** The server's clock, in milliseconds, where it tells. */
  readonly at: number | null;
}

/**
 * Sends a request that acts as the session `named`, or as the browser's active one. A body makes it a
 * POST. Throws [`Refused`], or whatever `fetch` throws when there is no answer.
 */
export async function request(
  send: typeof fetch,
  path: string,
  named: string | null,
  body?: Record<string, string>,
): Promise<Answer> {
  const headers = new Headers({ accept: 'application/json' });
  if (named !== null) headers.set('session-id', named);
  const init: RequestInit = {
    headers,
    cache: 'no-store',
    redirect: 'error',
    signal: AbortSignal.timeout(PATIENCE),
  };
  if (body !== undefined) {
    headers.set('content-type', 'application/json');
    init.method = 'POST';
    init.body = JSON.stringify(body);
  }
  const response = await send(path, init);
  if (!response.ok) throw new Refused(response.status);
  const at = Date.parse(response.headers.get('date') ?? '');
  return { body: await response.json(), at: Number.isNaN(at) ? null : at };
}

/** Where `POST /sign-out` leads: a path or a URL. */
export function readRedirect(body: unknown): string {
  const { redirect_url } = object(body);
  return typeof redirect_url === 'string' ? redirect_url : '';
}
