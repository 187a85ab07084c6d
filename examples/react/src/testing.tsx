import { act } from '@testing-library/react';

/** The demo's endpoints, with the accounts of one browser. */
export class FakeServer {
  active: string | null = null;
  sessions: Record<string, number> = {};
  offline = false;
  readonly requests: { path: string; named: string | null; body: Record<string, string> }[] = [];
  /** Responses that are held back. */
  readonly #held: { path: string; released: Promise<void> }[] = [];

  /** Signs in. The id of a session is also its label; its first word is the subject. */
  signIn(id: string, expiresAt = Date.now() / 1000 + 3600): void {
    this.sessions[id] = Math.floor(expiresAt);
    this.active = id;
  }

  signOut(id: string): void {
    delete this.sessions[id];
    if (this.active === id) this.active = null;
  }

  /** Holds the next response of `path` back, with its content of now, until the result is called. */
  hold(path = '/session'): () => Promise<void> {
    let release = () => {};
    const released = new Promise<void>((go) => (release = go));
    this.#held.push({ path, released });
    return () => act(async () => release());
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const path = String(input);
    const named = new Headers(init?.headers).get('session-id');
    const body = JSON.parse(String(init?.body ?? '{}')) as Record<string, string>;
    this.requests.push({ path, named, body });
    const { offline } = this;
    const response = this.#answer(path, named, body);
    const place = this.#held.findIndex((held) => held.path === path);
    if (place >= 0) await this.#held.splice(place, 1)[0]?.released;
    if (offline) throw new TypeError('Failed to fetch');
    return response;
  };

  #answer(path: string, named: string | null, body: Record<string, string>): Response {
    const acting = named === null ? this.active : named in this.sessions ? named : null;
    const id = body.session_id;
    switch (path) {
      case '/session':
        return json(this.#list(acting));
      case '/session/switch':
        if (id === undefined || !(id in this.sessions)) return json({ code: 'not_signed_in_here' }, 409);
        this.active = id;
        return json({ redirect_url: location.pathname });
      case '/sign-out':
        for (const session of id === undefined ? Object.keys(this.sessions) : [id]) {
          this.signOut(session);
        }
        return json({ redirect_url: '/sign-in/choose' });
      case '/api/me':
        if (acting === null) return json({ code: 'session_mismatch' }, 409);
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
