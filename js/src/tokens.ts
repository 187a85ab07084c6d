import { members } from './session.js';

/** A bearer token of `POST /session/token`. */
export interface SessionToken {
  readonly token: string;
  readonly expiresAt: Date;
}

/** How long before its end a token is replaced, in milliseconds. */
const LEEWAY = 10_000;

export function parseToken(json: unknown): SessionToken {
  const { token, expires_at } = members(json);
  if (typeof token !== 'string' || typeof expires_at !== 'number') {
    throw new TypeError('not the JSON of POST /session/token');
  }
  return { token, expiresAt: new Date(expires_at * 1000) };
}

/** Bearer tokens of this page, each reused until shortly before its end. */
export class TokenCache {
  readonly #tokens = new Map<string, { sessionId: string; token: Promise<SessionToken> }>();

  /** The token for `key`, which `load` gets if there is none that is valid for a while from `now`. */
  async get(
    sessionId: string,
    key: string,
    now: () => number,
    load: () => Promise<SessionToken>,
  ): Promise<SessionToken> {
    const id = `${sessionId} ${key}`;
    const known = this.#tokens.get(id);
    if (known !== undefined) {
      const token = await known.token;
      if (token.expiresAt.getTime() > now() + LEEWAY) return token;
      // Another caller may have replaced it meanwhile.
      if (this.#tokens.get(id) !== known) return this.get(sessionId, key, now, load);
    }
    const entry = { sessionId, token: load() };
    this.#tokens.set(id, entry);
    entry.token.catch(() => {
      if (this.#tokens.get(id) === entry) this.#tokens.delete(id);
    });
    return entry.token;
  }

  /** Forgets the tokens of all other sessions. */
  retain(sessionIds: readonly string[]): void {
    for (const [id, { sessionId }] of this.#tokens) {
      if (!sessionIds.includes(sessionId)) this.#tokens.delete(id);
    }
  }
}
