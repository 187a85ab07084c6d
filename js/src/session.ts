/** One account that is signed in from this browser. */
export interface Session {
  readonly id: string;
  /** A `pending` session has open tasks, such as a second factor; guards treat it as signed out. */
  readonly status: 'active' | 'pending';
  /** The user's id: the claim `sub`. */
  readonly subject: string;
  /** A name to show. */
  readonly label: string;
  /** A second line to show, usually the e-mail address. */
  readonly detail: string | null;
  readonly signedInAt: Date;
  /** When the session expires if nothing renews it, by the server's clock. */
  readonly expiresAt: Date;
  /** Open tasks of a pending session. */
  readonly tasks: readonly string[];
  /** Who acts in an impersonated session. */
  readonly actor: Actor | null;
  /** Whether the session is bound to this browser's device (Device Bound Session Credentials). */
  readonly deviceBound: boolean;
  /** When the proof of a device-bound session expires; null without a valid proof. The browser renews it. */
  readonly proofExpiresAt: Date | null;
}

/** The acting user of an impersonated session: the claim `act` (RFC 8693). */
export interface Actor {
  readonly sub: string;
  readonly [claim: string]: unknown;
}

/** The accounts of this browser. */
export interface SessionList {
  /** The session that the request acted as. It is never a pending one. */
  readonly active: string | null;
  readonly sessions: readonly Session[];
}

/** The JSON that `GET /session` responds with. Times are in seconds since 1970. */
export interface SessionListJson {
  readonly active: string | null;
  readonly sessions: readonly SessionJson[];
}

/** One session in [`SessionListJson`]. */
export interface SessionJson {
  readonly session_id: string;
  readonly subject: string;
  readonly label: string;
  readonly detail: string | null;
  readonly signed_in_at: number;
  readonly expires_at: number;
  readonly status?: 'active' | 'pending';
  readonly tasks?: readonly string[];
  readonly actor?: Actor;
  readonly device_bound?: true;
  readonly proof_expires_at?: number;
}

/**
 * Reads the JSON of `GET /session`. Throws a `TypeError` for anything else, because a proxy's error
 * page must not be taken for "signed out".
 */
export function parseSessionList(json: unknown): SessionList {
  const { active, sessions } = members(json);
  if (!(active === null || typeof active === 'string') || !Array.isArray(sessions)) {
    throw new TypeError('not the JSON of GET /session: `active` or `sessions` is missing');
  }
  const list = sessions.map(parseSession);
  const isSignedIn = list.some(({ id, status }) => id === active && status === 'active');
  return { active: isSignedIn ? active : null, sessions: list };
}

function parseSession(json: unknown): Session {
  const session = members(json);
  const { session_id, subject, label, detail, signed_in_at, expires_at, status, tasks, actor } = session;
  const { device_bound, proof_expires_at } = session;
  if (
    typeof session_id !== 'string' ||
    typeof subject !== 'string' ||
    typeof label !== 'string' ||
    !(detail === null || typeof detail === 'string') ||
    typeof signed_in_at !== 'number' ||
    typeof expires_at !== 'number'
  ) {
    throw new TypeError('not the JSON of GET /session: a session lacks a member');
  }
  return {
    id: session_id,
    status: status === 'pending' ? 'pending' : 'active',
    subject,
    label,
    detail,
    signedInAt: new Date(signed_in_at * 1000),
    expiresAt: new Date(expires_at * 1000),
    tasks: Array.isArray(tasks) ? tasks.map(String) : [],
    actor: actor === undefined || actor === null ? null : (members(actor) as Actor),
    deviceBound: device_bound === true,
    proofExpiresAt: typeof proof_expires_at === 'number' ? new Date(proof_expires_at * 1000) : null,
  };
}

/** The members of a JSON object. */
export function members(json: unknown): Record<string, unknown> {
  if (typeof json !== 'object' || json === null) throw new TypeError('not a JSON object');
  return json as Record<string, unknown>;
}

/** `next`, with the objects of `previous` for the sessions that did not change. */
export function reuse(previous: readonly Session[], next: readonly Session[]): readonly Session[] {
  const known = new Map(previous.map((session) => [JSON.stringify(session), session]));
  const reused = next.map((session) => known.get(JSON.stringify(session)) ?? session);
  const isSame =
    reused.length === previous.length && reused.every((session, at) => session === previous[at]);
  return isSame ? previous : reused;
}
