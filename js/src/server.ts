import { request } from './request.js';
import { parseSessionList, type SessionListJson } from './session.js';

export interface FetchSessionListOptions {
  /** The header `cookie` of the visitor's request. */
  readonly cookie: string | null | undefined;
  /** Instead of the global `fetch`. */
  readonly fetch?: typeof fetch;
  readonly signal?: AbortSignal;
}

/**
 * Fetches the accounts of a visitor while a page is rendered on a server: `url` is the address of
 * `GET /session`, and the visitor's cookies are forwarded. The result is plain JSON, so it can be
 * passed to `<SessionProvider initialState>` from a server component. `active` is never a pending
 * session.
 *
 * The request does not count as user activity. Throws a `SessionRequestError` if the server does not
 * respond with a list.
 */
export async function fetchSessionList(
  url: string | URL,
  options: FetchSessionListOptions,
): Promise<SessionListJson> {
  const { body } = await request({
    fetch: options.fetch ?? fetch,
    url: String(url),
    headers: { 'session-activity': 'none', ...(options.cookie ? { cookie: options.cookie } : {}) },
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const { active } = parseSessionList(body);
  return { ...(body as SessionListJson), active };
}
