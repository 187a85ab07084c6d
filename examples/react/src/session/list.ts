/** One account that is signed in from this browser. Instants are unix seconds of the server's clock. */
export interface Session {
  readonly id: string;
  readonly subject: string;
  readonly label: string;
  readonly detail: string | null;
  readonly signedInAt: number;
  readonly expiresAt: number;
}

/** What `GET /session` says. */
export interface List {
  /** Whom the request acted as. */
  readonly active: string | null;
  readonly sessions: readonly Session[];
}

/**
 * Reads the body of `GET /session`, without accounts whose sign-in takes another step: the pages of
 * that are the server's. Throws at anything else: a proxy's page is no "signed out".
 */
export function readList(body: unknown): List {
  const { active, sessions } = object(body);
  if (!(active === null || typeof active === 'string') || !Array.isArray(sessions)) {
    throw new TypeError('not a list of sessions');
  }
  const signedIn = sessions.filter((item) => object(item).status !== 'pending').map(readSession);
  const acts = signedIn.some(({ id }) => id === active);
  return { active: acts ? active : null, sessions: signedIn };
}

function readSession(item: unknown): Session {
  const { session_id, subject, label, detail, signed_in_at, expires_at } = object(item);
  if (
    typeof session_id !== 'string' ||
    typeof subject !== 'string' ||
    typeof label !== 'string' ||
    !(detail === null || typeof detail === 'string') ||
    typeof signed_in_at !== 'number' ||
    typeof expires_at !== 'number'
  ) {
    throw new TypeError('not a session');
  }
  return {
    id: session_id,
    subject,
    label,
    detail,
    signedInAt: signed_in_at,
    expiresAt: expires_at,
  };
}

export function object(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new TypeError('not an object');
  return value as Record<string, unknown>;
}
