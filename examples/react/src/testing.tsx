import { act } from '@testing-library/react';

/** The demo as a page sees it, with one browser's accounts. */
export class FakeServer {
  active: string | null = null;
  sessions: Record<string, number> = {};
  offline = false;
  /** Answers with this in place of a list of sessions. */
  nonsense: string | undefined;
  /** Serves every request as the active account, like a proxy that drops headers makes it. */
  ignoresNames = false;
  /** Where a sign-out leads. */
  redirect = '/sign-in/choose';
  /** Answers of this path get lost on the way back. */
  loses: string | undefined;
  #open = 0;
  readonly requests: { path: string; named: string | null; body: Record<string, string> }[] = [];
  /** What answers wait for, one each. */
  readonly #held: { path: string; released: Promise<void> }[] = [];

  /** Signs in; a session is called like its id, of which the first word is the subject. */
  signIn(id: string, expiresAt = Date.now() / 1000 + 3600): void {
    this.sessions[id] = Math.floor(expiresAt);
    this.active = id;
  }

  signOut(id: string): void {
    delete this.sessions[id];
    if (this.active === id) this.active = null;
  }

  /** Keeps the next answer back, as it is when the request comes in. Gives what lets it go. */
  hold(path = '/session'): () => Promise<void> {
    let release = () => {};
    const released = new Promise<void>((go) => (release = go));
    this.#held.push({ path, released });
    return () => act(async () => release());
  }

  /** How often the list was asked for. */
  get asked(): number {
    return this.requests.filter(({ path }) => path === '/session').length;
  }

  /** Whether every request is answered. */
  get idle(): boolean {
    return this.#open === 0;
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const path = String(input);
    const named = new Headers(init?.headers).get('session-id');
    const body = JSON.parse(String(init?.body ?? '{}')) as Record<string, string>;
    this.requests.push({ path, named, body });
    const { offline } = this;
    this.#open++;
    const response = this.#answer(path, named, body);
    const place = this.#held.findIndex((held) => held.path === path);
    if (place >= 0) await this.#held.splice(place, 1)[0]?.released;
    this.#open--;
    if (offline || this.loses === path) throw new TypeError('Failed to fetch');
    return response;
  };

  #answer(path: string, named: string | null, body: Record<string, string>): Response {
    const acting = named === null || this.ignoresNames ? this.active : named in this.sessions ? named : null;
    const id = body.session_id;
    if (this.offline) return new Response();
    switch (path) {
      case '/session':
        return this.nonsense === undefined ? json(this.#list(acting)) : new Response(this.nonsense);
      case '/session/switch':
        if (id === undefined || !(id in this.sessions)) return json({}, 409);
        this.active = id;
        return json({ redirect_url: location.pathname });
      case '/sign-out':
        for (const session of id === undefined ? Object.keys(this.sessions) : [id]) {
          this.signOut(session);
        }
        return json({ redirect_url: this.redirect });
      case '/api/me':
        if (acting === null) return json({}, named === null ? 401 : 409);
        return json({ claims: { role: `role of ${acting}` } });
      default:
        return json({}, 404);
    }
  }

  #list(active: string | null) {
    const sessions = Object.entries(this.sessions).map(([session_id, expires_at]) => ({
      session_id,
      subject: session_id.split(' ')[0],
      label: session_id,
      detail: null,
      signed_in_at: expires_at - 3600,
      expires_at,
    }));
    return { active, sessions };
  }
}

function json(body: unknown, status = 200): Response {
  const headers = { 'content-type': 'application/json', date: new Date().toUTCString() };
  return new Response(JSON.stringify(body), { status, headers });
}

/** The storage of one tab. */
export function tabStorage(): Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> {
  const items = new Map<string, string>();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
    removeItem: (name) => void items.delete(name),
  };
}
