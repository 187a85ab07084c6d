import { members } from './session.js';

/** How long the client waits for a response, in milliseconds. */
const TIMEOUT = 10_000;

/** A request to a session endpoint that failed. */
export class SessionRequestError extends Error {
  override readonly name = 'SessionRequestError';

  constructor(
    message: string,
    /** The HTTP status, or `null` if there was no usable response. */
    readonly status: number | null,
    /** The `code` of the server's problem report, such as `not_signed_in_here`. */
    readonly code: string | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface RequestOptions {
  readonly fetch: typeof fetch;
  readonly url: string;
  /** The session that the request acts as. `null` is the browser's active one. */
  readonly sessionId?: string | null;
  readonly headers?: HeadersInit;
  /** Makes the request a POST. */
  readonly body?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
}

export interface JsonResponse {
  readonly body: unknown;
  /** The server's clock in milliseconds, from the header `Date`. */
  readonly date: number | null;
}

/** Sends a request to a session endpoint. Throws a [`SessionRequestError`]. */
export async function request(options: RequestOptions): Promise<JsonResponse> {
  const headers = new Headers(options.headers);
  headers.set('accept', 'application/json');
  if (options.sessionId != null) headers.set('session-id', options.sessionId);
  const init: RequestInit = {
    headers,
    cache: 'no-store',
    // An endpoint never redirects a client that accepts JSON only: what does is a proxy.
    redirect: 'error',
    signal: options.signal ?? AbortSignal.timeout(TIMEOUT),
  };
  if (options.body !== undefined) {
    headers.set('content-type', 'application/json');
    init.method = 'POST';
    init.body = JSON.stringify(options.body);
  }

  let response: Response;
  try {
    response = await options.fetch(options.url, init);
  } catch (cause) {
    throw new SessionRequestError(`${options.url}: no response`, null, null, { cause });
  }
  if (!response.ok) {
    const code = await problemCode(response);
    const reason = code === null ? '' : ` (${code})`;
    throw new SessionRequestError(
      `${options.url}: the server refused the request with ${response.status}${reason}`,
      response.status,
      code,
    );
  }
  try {
    const body: unknown = await response.json();
    const date = Date.parse(response.headers.get('date') ?? '');
    return { body, date: Number.isNaN(date) ? null : date };
  } catch (cause) {
    throw new SessionRequestError(`${options.url}: the response is not JSON`, null, null, { cause });
  }
}

/** The `code` of a problem report (RFC 9457). Reads the body of `response`. */
export async function problemCode(response: Response): Promise<string | null> {
  try {
    const { code } = members(await response.json());
    return typeof code === 'string' ? code : null;
  } catch {
    return null;
  }
}
