import { type SessionJson, type SessionListJson } from '../src/index.js';

/** A request that the fake server received. */
export interface Received {
  readonly path: string;
  readonly method: string;
  /** The header `session-id`. */
  readonly named: string | null;
  /** The header `session-activity`. */
  readonly activity: string | null;
  readonly body: Record<string, unknown>;
}

/** Also while a test moves the clock. */
const { setTimeout: later } = globalThis;

/** How long sessions last after activity, in seconds. */
const INACTIVITY = 3600;

/**
 * The session endpoints as the crate documents them, with the accounts of one browser. A session's id
 * is also its label; the first word of it is the subject.
 */
export class FakeServer {
  readonly basePath: string;
  active: string | null = null;
  readonly sessions = new Map<string, SessionJson>();
  readonly requests: Received[] = [];
  /** No request arrives. */
  isOffline = false;
  /** The status of every response. */
  failsWith: number | undefined;
  /** The body of every response to `GET /session`. */
  nonsense: string | undefined;
  /** Like a proxy that drops headers: no request is handled as the session that it names. */
  ignoresNames = false;
  /** Whether `session-activity: user` renews the session. */
  knowsHeartbeat = true;
  /** No session is renewed beyond this time, in unix seconds. */
  maximum = Infinity;
  /** Where a sign-out redirects. */
  redirectUrl = '/sign-in/choose';
  /** Responses of this path are lost. */
  loses: string | undefined;
  tokens = 0;
  #open = 0;
  readonly #held: { path: string; released: Promise<void> }[] = [];

  constructor(basePath = '') {
    this.basePath = basePath;
  }

  signIn(id: string, more: Partial<SessionJson> = {}): void {
    const now = Math.floor(Date.now() / 1000);
    this.sessions.set(id, {
      session_id: id,
      subject: id.split(' ')[0] ?? id,
      label: id,
      detail: null,
      signed_in_at: now,
      expires_at: now + INACTIVITY,
      status: 'active',
      ...more,
    });
    this.active = id;
  }

  signOut(id: string): void {
    this.sessions.delete(id);
    if (this.active === id) this.active = null;
  }

  change(id: string, change: Partial<SessionJson>): void {
    const session = this.sessions.get(id);
    if (session !== undefined) this.sessions.set(id, { ...session, ...change });
  }

  /** What `GET /session` responds with for a request that names no session. */
  get list(): SessionListJson {
    return { active: this.active, sessions: [...this.sessions.values()] };
  }

  /** Holds the next response of `path` back, with its content of now, until the result is called. */
  hold(path = '/session'): () => Promise<void> {
    let release = () => {};
    const released = new Promise<void>((done) => (release = done));
    this.#held.push({ path, released });
    return async () => {
      release();
      await this.idle();
      await this.idle();
    };
  }

  /** Waits until all requests have been responded to that are not held back. */
  async idle(): Promise<void> {
    do {
      await new Promise((done) => later(done, 1));
    } while (this.#open > 0);
  }

  count(path = '/session'): number {
    return this.to(path).length;
  }

  to(path: string): Received[] {
    return this.requests.filter((request) => request.path === this.basePath + path);
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const path = new URL(String(input), 'http://localhost').pathname;
    const headers = new Headers(init?.headers);
    const request: Received = {
      path,
      method: init?.method ?? 'GET',
      named: headers.get('session-id'),
      activity: headers.get('session-activity'),
      body: JSON.parse(String(init?.body ?? '{}')) as Record<string, unknown>,
    };
    this.requests.push(request);
    const { isOffline } = this;
    this.#open++;
    const response = isOffline ? undefined : this.#respond(request);
    const at = this.#held.findIndex((held) => this.basePath + held.path === path);
    // What is held back is not waited for.
    this.#open--;
    if (at >= 0) await this.#held.splice(at, 1)[0]?.released;
    if (response === undefined || this.basePath + this.loses === path) {
      throw new TypeError('Failed to fetch');
    }
    return response;
  };

  #respond(request: Received): Response {
    if (this.failsWith !== undefined) return problem(this.failsWith, 'unavailable');
    for (const { session_id, expires_at } of this.sessions.values()) {
      if (expires_at <= Date.now() / 1000) this.signOut(session_id);
    }
    const { named } = request;
    const isNamed = named !== null && !this.ignoresNames;
    const acting = !isNamed ? this.active : this.sessions.has(named) ? named : null;
    const path = request.path.slice(this.basePath.length);
    switch (`${request.method} ${path}`) {
      case 'GET /session':
        if (this.nonsense !== undefined) return new Response(this.nonsense);
        if (request.activity === 'user' && this.knowsHeartbeat && acting !== null) this.#renew(acting);
        return json({ ...this.list, active: acting });
      case 'POST /session/switch':
        return this.#switch(request.body);
      case 'POST /sign-out':
        return this.#signOut(request.body, acting);
      case 'POST /session/token':
        if (acting === null) return isNamed ? MISMATCH() : problem(401, 'signed_out');
        return json({ token: `${acting} ${++this.tokens}`, expires_at: Date.now() / 1000 + 60 });
      case 'GET /api/me':
        if (acting === null) return isNamed ? MISMATCH() : problem(401, 'signed_out');
        return json({ role: `role of ${acting}` });
      default:
        return problem(404, 'not_found');
    }
  }

  #renew(id: string): void {
    this.change(id, { expires_at: Math.min(Math.floor(Date.now() / 1000) + INACTIVITY, this.maximum) });
  }

  #switch({ session_id, redirect_url }: Record<string, unknown>): Response {
    const session = this.sessions.get(String(session_id));
    if (session === undefined) return problem(409, 'not_signed_in_here');
    this.active = session.session_id;
    const tasks = session.status === 'pending' ? '/tasks' : undefined;
    return json({ redirect_url: tasks ?? redirect_url ?? '/' });
  }

  #signOut({ scope, session_id }: Record<string, unknown>, acting: string | null): Response {
    if (scope === 'everywhere' && this.sessions.get(String(session_id))?.actor !== undefined) {
      return problem(403, 'impersonated');
    }
    const id = session_id ?? acting;
    for (const known of this.sessions.keys()) {
      if (scope === 'browser' || known === id) this.signOut(known);
    }
    return json({ redirect_url: this.redirectUrl });
  }
}

const MISMATCH = () => problem(409, 'session_mismatch');

function json(body: unknown, status = 200): Response {
  const headers = { 'content-type': 'application/json', date: new Date().toUTCString() };
  return new Response(JSON.stringify(body), { status, headers });
}

function problem(status: number, code: string): Response {
  return json({ status, code, detail: code }, status);
}

/** The storage of one tab. */
export function storage() {
  const items = new Map<string, string>();
  return {
    getItem: (name: string) => items.get(name) ?? null,
    setItem: (name: string, value: string) => void items.set(name, value),
    removeItem: (name: string) => void items.delete(name),
  };
}
