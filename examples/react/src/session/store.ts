import { readRedirect, Refused, request } from './api';
import { type List, readList, type Session } from './list';

/** How long to wait until a server that did not answer is asked again, in milliseconds. */
const RETRY = 10_000;

/** The longest wait of a timer, in milliseconds: browsers cannot count to more than 24 days. */
const LONGEST_WAIT = 6 * 3600 * 1000;

/** By how many seconds two clocks may differ that were compared by whole seconds. */
const TICK = 2;

/** Under this name a tab remembers which session it keeps. */
const PIN = 'session-of-this-tab';

const CHANNEL = 'tower-auth-session';

/** Who is signed in from this browser, as one tab knows it. */
export interface SessionState {
  /** Whether the server has answered yet. */
  readonly known: boolean;
  /** Whom this tab shows. `null` is signed out, or accounts to choose from. */
  readonly session: Session | null;
  readonly sessions: readonly Session[];
  /** The session that this tab keeps, whatever becomes active in the browser. */
  readonly pinned: string | null;
  /** The last question got no answer: this is what was known before. */
  readonly stale: boolean;
  /** Why the session that was shown here is not any more, where nobody asked for that here. */
  readonly ended: 'expired' | 'elsewhere' | null;
  /** A switch or a sign-out is on its way. */
  readonly busy: boolean;
  /** Why the last one failed. */
  readonly problem: string | null;
}

export interface SessionOptions {
  readonly fetch?: typeof fetch;
  /** Storage of this tab alone. */
  readonly storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
  /** Leaves the page. */
  readonly leave?: (url: URL) => void;
}

/**
 * Keeps one tab's view of the browser's sessions.
 *
 * Answers may come in any order: each has the number of its question, and none is believed that was
 * asked for before what is shown. Everything else asks again, so that the server always has the last
 * word.
 */
export class SessionStore {
  readonly #fetch: typeof fetch;
  readonly #storage: NonNullable<SessionOptions['storage']>;
  readonly #leave: (url: URL) => void;
  readonly #listeners = new Set<() => void>();
  #state: SessionState;
  /** Questions asked. */
  #asked = 0;
  /** Answers to this question and to those before it are out of date. */
  #settled = 0;
  /** What to add to this machine's clock for the server's, in milliseconds. */
  #skew = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #channel: BroadcastChannel | undefined;

  constructor(options: SessionOptions = {}) {
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.#storage = options.storage ?? sessionStorage;
    this.#leave = options.leave ?? ((url) => location.assign(url));
    this.#state = { ...NOTHING_KNOWN, pinned: this.#storage.getItem(PIN) };
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly current = (): SessionState => this.#state;

  /** The server's clock, in unix seconds, as well as this tab knows it. */
  readonly now = (): number => (Date.now() + this.#skew) / 1000;

  /** Asks, and from now on follows what other tabs and pages do. Gives what ends that. */
  readonly start = (): (() => void) => {
    const channel = new BroadcastChannel(CHANNEL);
    this.#channel = channel;
    const events = new AbortController();
    const { signal } = events;
    channel.addEventListener('message', this.refresh, { signal });
    // Pages without script tell nobody what they did: whoever comes back here may have been there.
    window.addEventListener('focus', this.refresh, { signal });
    window.addEventListener('online', this.refresh, { signal });
    document.addEventListener('visibilitychange', this.#whenVisible, { signal });
    window.addEventListener('pageshow', this.#whenRestored, { signal });
    // A page that was led here by a sign-in is the first to know of it.
    void this.refresh().then(() => !signal.aborted && this.#tellOthers());
    return () => {
      events.abort();
      channel.close();
      this.#channel = undefined;
      clearTimeout(this.#timer);
    };
  };

  /** Asks the server. It takes that for no activity: asking keeps no session alive. */
  readonly refresh = async (): Promise<void> => {
    const question = ++this.#asked;
    try {
      const answer = await request(this.#fetch, '/session', this.#state.pinned);
      const list = readList(answer.body);
      if (question <= this.#settled) return;
      this.#settled = question;
      if (answer.at !== null) this.#skew = answer.at - Date.now();
      this.#show(list);
    } catch {
      // A failure is old news once there is an answer, or another question.
      if (question <= this.#settled || question < this.#asked) return;
      const now = this.now();
      const lives = ({ expiresAt }: Session) => expiresAt > now;
      // What is over needs no server to say so.
      this.#show({ ...this.#list(), sessions: this.#state.sessions.filter(lives) }, true);
    }
  };

  /** Makes another account the active one; in a tab that keeps its account, that of this tab alone. */
  readonly switchTo = async (id: string): Promise<void> => {
    if (this.#state.pinned !== null) {
      this.#pin(id);
      this.#settle({ ...this.#list(), active: id });
      await this.refresh();
      return;
    }
    await this.#change('/session/switch', { session_id: id }, () => {
      this.#settle({ ...this.#list(), active: id });
    });
  };

  /** Signs out of one account and goes where the server says. */
  readonly signOut = async (id: string): Promise<void> => {
    const answer = await this.#change('/sign-out', { session_id: id }, () => this.#forget(id));
    if (answer !== undefined) this.#follow(readRedirect(answer));
  };

  /** Signs out of every account of this browser and goes where the server says. */
  readonly signOutOfAll = async (): Promise<void> => {
    const answer = await this.#change('/sign-out', { scope: 'browser' }, () => {
      this.#pin(null);
      this.#settle({ active: null, sessions: [] });
      this.#set({ ended: null });
    });
    if (answer !== undefined) this.#follow(readRedirect(answer));
  };

  /** From now on this tab keeps the account that it shows. */
  readonly keepAccount = (): void => {
    if (this.#state.session === null) return;
    this.#pin(this.#state.session.id);
    void this.refresh();
  };

  /** From now on this tab shows the browser's active account, whichever that is. */
  readonly followBrowser = async (): Promise<void> => {
    this.#pin(null);
    await this.refresh();
  };

  /** A request that named session `id` was refused: it is not signed in here any more. */
  readonly refused = async (id: string): Promise<void> => {
    const { active, sessions } = this.#list();
    this.#settle({ active, sessions: sessions.filter((session) => session.id !== id) });
    await this.refresh();
  };

  readonly dismissProblem = (): void => this.#set({ problem: null });

  /** Sends what changes sessions, applies `effect` once it has, and gives the body of the answer. */
  async #change(
    path: string,
    body: Record<string, string>,
    effect: () => void,
  ): Promise<unknown> {
    if (this.#state.busy) return undefined;
    this.#set({ busy: true, problem: null });
    try {
      const answer = await request(this.#fetch, path, this.#state.pinned, body);
      effect();
      return answer.body;
    } catch (error) {
      this.#set({ problem: describe(error) });
      return undefined;
    } finally {
      this.#set({ busy: false });
      this.#tellOthers();
      // A request whose answer was lost may have had its effect all the same.
      void this.refresh();
    }
  }

  #follow(redirect: string): void {
    const url = new URL(redirect, location.href);
    const isHere = url.origin === location.origin && url.pathname === location.pathname;
    if (!isHere && (url.protocol === 'https:' || url.protocol === 'http:')) this.#leave(url);
  }

  #forget(id: string): void {
    if (this.#state.pinned === id) this.#pin(null);
    const { active, sessions } = this.#list();
    this.#settle({
      active: active === id ? null : active,
      sessions: sessions.filter((session) => session.id !== id),
    });
    this.#set({ ended: null });
  }

  #pin(id: string | null): void {
    if (id === null) this.#storage.removeItem(PIN);
    else this.#storage.setItem(PIN, id);
    // Answers on their way are about whom this tab named before.
    this.#settled = this.#asked;
    this.#set({ pinned: id });
  }

  /** Shows `list`, which no answer on its way knows of. */
  #settle(list: List): void {
    this.#settled = this.#asked;
    this.#show(list, this.#state.stale);
  }

  #list(): List {
    return { active: this.#state.session?.id ?? null, sessions: this.#state.sessions };
  }

  #show({ active, sessions }: List, stale = false): void {
    const { session: before, pinned, known } = this.#state;
    // A tab that keeps its account shows no other one, whatever the answer.
    const shown = pinned !== null && active !== pinned ? null : active;
    const session = sessions.find(({ id }) => id === shown) ?? null;
    let { ended } = this.#state;
    if (session !== null) ended = null;
    else if (before !== null) {
      ended = before.expiresAt <= this.now() + TICK ? 'expired' : 'elsewhere';
    }
    this.#set({ session, sessions, stale, ended, known: known || !stale });
    this.#waitForTheNextEnd();
  }

  #waitForTheNextEnd(): void {
    clearTimeout(this.#timer);
    if (this.#channel === undefined) return;
    const ends = this.#state.sessions.map(({ expiresAt }) => expiresAt);
    let wait = (Math.min(...ends) - this.now()) * 1000 + 500;
    if (this.#state.stale && document.visibilityState === 'visible') wait = Math.min(wait, RETRY);
    if (wait === Infinity) return;
    this.#timer = setTimeout(this.refresh, Math.min(Math.max(wait, 1000), LONGEST_WAIT));
  }

  readonly #whenVisible = (): void => {
    if (document.visibilityState === 'visible') void this.refresh();
  };

  /** A page from the back button's memory shows what was, until the server has said what is. */
  readonly #whenRestored = (event: PageTransitionEvent): void => {
    if (!event.persisted) return;
    this.#settled = this.#asked;
    this.#set({ ...NOTHING_KNOWN, pinned: this.#state.pinned });
    void this.refresh();
  };

  #tellOthers(): void {
    this.#channel?.postMessage('changed');
  }

  #set(change: Partial<SessionState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}

const NOTHING_KNOWN: SessionState = {
  known: false,
  session: null,
  sessions: [],
  pinned: null,
  stale: false,
  ended: null,
  busy: false,
  problem: null,
};

function describe(error: unknown): string {
  if (!(error instanceof Refused)) return 'The server did not answer, so this may not have worked.';
  return error.status === 409
    ? 'That account is not signed in from this browser any more.'
    : `The server refused this (${error.status}).`;
}
