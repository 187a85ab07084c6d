import type {
  EndpointPaths,
  GetTokenOptions,
  RedirectUrls,
  SessionClientOptions,
  SessionState,
  SetActiveOptions,
  SignOutOptions,
} from './options.js';
import { isSameOrigin, isThisPage, resolveUrl, tabStorage, type TabStorage, watchPage } from './page.js';
import { problemCode, request, SessionRequestError } from './request.js';
import { members, parseSessionList, reuse, type Session, type SessionList } from './session.js';
import { parseToken, TokenCache } from './tokens.js';

/** How long to wait after the first request without response, in milliseconds. Doubled each time. */
const FIRST_RETRY = 5_000;
const LAST_RETRY = 60_000;

/** The longest wait of one timer, in milliseconds: browsers cannot count to more than 24 days. */
const LONGEST_TIMER = 6 * 3600 * 1000;

/** Events that come together lead to one request, in milliseconds. */
const COALESCE = 50;

/** By how many milliseconds two clocks may differ that were compared by whole seconds. */
const CLOCK_TOLERANCE = 2_000;

/**
 * Keeps one tab's view of the sessions of its browser and changes them.
 *
 * Responses may arrive in any order: a response to a request that was sent before the newest change or
 * the newest response is dropped. After each change the list is fetched again.
 *
 * The constructor touches neither `window` nor the network, so it can run on a server.
 */
export class SessionClient {
  /** Where the user goes after signing out, and where the sign-in page is. */
  readonly urls: RedirectUrls;
  readonly #paths: EndpointPaths;
  readonly #fetch: typeof fetch;
  readonly #navigate: (url: URL) => void;
  /** The name of the channel to other tabs and of the key in the tab's storage. */
  readonly #name: string;
  /** In milliseconds. */
  readonly #endsSoon: number;
  /** In milliseconds. */
  readonly #heartbeat: number | null;
  readonly #listeners = new Set<(state: SessionState, previous: SessionState) => void>();
  readonly #tokens = new TokenCache();
  readonly #initialState: SessionState;
  #state: SessionState;
  #storage: TabStorage | undefined;
  /** How many lists were requested. */
  #requested = 0;
  /** Responses to this request and earlier ones are out of date. */
  #settled = 0;
  /** The changes in progress, one after the other. */
  #changes: Promise<unknown> = Promise.resolve();
  #changesInProgress = 0;
  /** The server's clock minus this machine's, in milliseconds. */
  #skew = 0;
  #failures = 0;
  #lastTouch = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #soon: ReturnType<typeof setTimeout> | undefined;
  #isRunning = false;
  #channel: BroadcastChannel | undefined;
  /** What other tabs were informed of last. */
  #published = '';

  constructor(options: SessionClientOptions = {}) {
    const base = (options.basePath ?? '').replace(/\/+$/, '');
    this.urls = {
      signInUrl: options.signInUrl,
      afterSignOutUrl: options.afterSignOutUrl,
      afterMultiSessionSingleSignOutUrl: options.afterMultiSessionSingleSignOutUrl,
    };
    this.#paths = {
      session: options.paths?.session ?? `${base}/session`,
      switch: options.paths?.switch ?? `${base}/session/switch`,
      signOut: options.paths?.signOut ?? `${base}/sign-out`,
      token: options.paths?.token ?? `${base}/session/token`,
    };
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.#navigate = options.navigate ?? ((url) => location.assign(url));
    this.#name = `tower-auth-session:${this.#paths.session}`;
    this.#endsSoon = (options.endsSoonSeconds ?? 60) * 1000;
    const heartbeat = options.heartbeatSeconds ?? 60;
    this.#heartbeat = heartbeat === false ? null : heartbeat * 1000;
    this.#storage = options.storage;
    const list = options.initialState == null ? null : parseSessionList(options.initialState);
    this.#state = list === null ? NOT_LOADED : { ...NOT_LOADED, isLoaded: true, ...shownOf(list) };
    this.#initialState = this.#state;
  }

  readonly getState = (): SessionState => this.#state;

  /** The state from the constructor, which is what a server rendered. */
  readonly getInitialState = (): SessionState => this.#initialState;

  /** Calls `listener` after each change of the state. Returns the function that ends that. */
  readonly subscribe = (
    listener: (state: SessionState, previous: SessionState) => void,
  ): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** The server's clock, as well as this tab knows it. */
  readonly now = (): Date => new Date(this.#now());

  /**
   * Fetches the list and from now on follows the user and the other tabs. Returns the function that
   * ends that. Only for browsers.
   */
  readonly start = (): (() => void) => {
    const pinned = this.#tabStorage().getItem(this.#name);
    if (pinned !== null) this.#pin(pinned);
    const stop = watchPage({
      begin: this.#begin,
      returned: this.#refreshSoon,
      restored: this.#reload,
      used: this.#used,
    });
    return () => {
      stop();
      this.#channel?.close();
      this.#channel = undefined;
      this.#isRunning = false;
      clearTimeout(this.#timer);
      clearTimeout(this.#soon);
    };
  };

  /** Fetches the list of accounts. That is no user activity: it keeps no session active. */
  readonly refresh = (): Promise<void> => this.#load(false);

  /**
   * Reports to the server that the user is active. Returns whether the session of this tab expires later
   * than before: at its maximum lifetime, or with a server that knows no heartbeat, it does not.
   */
  readonly touch = async (): Promise<boolean> => {
    const before = this.#state.session;
    this.#lastTouch = Date.now();
    await this.#load(true);
    const after = this.#state.session;
    return before !== null && after?.id === before.id && after.expiresAt > before.expiresAt;
  };

  /**
   * Makes an account the active one of this browser; in a pinned tab, that of this tab alone. For a
   * pending session the server's page for its open tasks is opened.
   */
  readonly setActive = async ({ session, redirectUrl }: SetActiveOptions): Promise<void> => {
    const id = typeof session === 'string' ? session : session.id;
    const isPending = this.#state.sessions.some((one) => one.id === id && one.status === 'pending');
    if (this.#state.pinnedSessionId !== null && !isPending) {
      this.#pin(id);
      await this.refresh();
    } else {
      const body = { session_id: id, ...(redirectUrl === undefined ? {} : { redirect_url: redirectUrl }) };
      const response = await this.#change(this.#paths.switch, body, () => {
        if (isPending) this.#pin(null);
        this.#settle({ sessions: this.#state.sessions, active: isPending ? null : id });
      });
      if (isPending) return this.#open(redirectOf(response));
    }
    if (redirectUrl !== undefined) this.#open(redirectUrl);
  };

  /** Signs out. Another account never becomes active by that. */
  readonly signOut = async (options: SignOutOptions = {}): Promise<void> => {
    const { scope = 'this' } = options;
    const shown = this.#state.session?.id;
    const id = options.sessionId ?? shown;
    const body: Record<string, string> = { scope };
    if (scope !== 'browser' && id !== undefined) body.session_id = id;
    const response = await this.#change(this.#paths.signOut, body, () => {
      if (scope === 'browser') this.#forgetAll();
      else if (id !== undefined) this.#forget(id);
    });
    const url = this.#urlAfterSignOut(options, scope, id === shown, redirectOf(response));
    if (url !== null) this.#open(url);
  };

  /** From now on this tab shows one account, whichever is active in the browser. */
  readonly pinTab = async (sessionId = this.#state.session?.id): Promise<void> => {
    if (sessionId === undefined) return;
    this.#pin(sessionId);
    await this.refresh();
  };

  /** From now on this tab shows the browser's active account. */
  readonly unpinTab = async (): Promise<void> => {
    this.#pin(null);
    await this.refresh();
  };

  /**
   * `fetch` for requests to the page's own origin that are about the account that this tab shows. They
   * name the session in the header `session-id`, so the server handles them as that account or refuses
   * them, also if another tab has switched meanwhile.
   */
  readonly fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    if (!isSameOrigin(input)) return this.#fetch(input, init);
    const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined));
    const shown = this.#state.session?.id;
    if (shown !== undefined && !headers.has('session-id')) headers.set('session-id', shown);
    const named = headers.get('session-id');
    const response = await this.#fetch(input, { ...init, headers });
    if (response.status === 401 || response.status === 409) {
      this.#refused(named, await problemCode(response.clone()));
    }
    return response;
  };

  /**
   * A bearer token of the session that this tab shows, for APIs that accept
   * `Authorization: Bearer`. `null` if there is no session.
   */
  readonly getToken = async (options: GetTokenOptions = {}): Promise<string | null> => {
    const id = this.#state.session?.id;
    if (id === undefined) return null;
    const { lifetime, audience } = options;
    const body = { session_id: id, lifetime, audience };
    const load = async () => {
      const send = { fetch: this.#fetch, url: this.#paths.token, sessionId: id, body };
      return parseToken((await request(send)).body);
    };
    try {
      const key = JSON.stringify([lifetime, audience]);
      return (await this.#tokens.get(id, key, () => this.#now(), load)).token;
    } catch (error) {
      if (!(error instanceof SessionRequestError) || !this.#refused(id, error.code)) throw error;
      return null;
    }
  };

  /** Clears [`SessionState.error`]. */
  readonly dismissError = (): void => this.#set({ error: null });

  readonly #begin = ({ isSpeculative }: { readonly isSpeculative: boolean }): void => {
    this.#isRunning = true;
    if ('BroadcastChannel' in globalThis) {
      this.#channel = new BroadcastChannel(this.#name);
      this.#channel.onmessage = ({ data }) => {
        if (data !== this.#fingerprint()) this.#refreshSoon();
      };
    }
    // A page that the browser fetched in advance was no user activity until now.
    void this.#load(isSpeculative && this.#heartbeat !== null);
  };

  /** Fetches the list. */
  async #load(isActivity: boolean): Promise<void> {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    const number = ++this.#requested;
    try {
      const { body, date } = await request({
        fetch: this.#fetch,
        url: this.#paths.session,
        sessionId: this.#state.pinnedSessionId,
        headers: isActivity ? { 'session-activity': 'user' } : {},
      });
      const list = parseSessionList(body);
      if (number <= this.#settled) return;
      this.#settled = number;
      this.#failures = 0;
      if (date !== null) this.#skew = date - Date.now();
      this.#show(list, false);
    } catch {
      // A newer request makes this failure irrelevant.
      if (number < this.#requested) return;
      this.#failures++;
      // What has expired is signed out without a response too.
      const now = this.#now();
      const sessions = this.#state.sessions.filter(({ expiresAt }) => expiresAt.getTime() > now);
      this.#show({ active: this.#state.session?.id ?? null, sessions }, true);
    }
  }

  /** Fetches the list once for all calls within a short time. */
  readonly #refreshSoon = (): void => {
    this.#soon ??= setTimeout(this.refresh, COALESCE);
  };

  /** Shows no account until the server has responded. */
  readonly #reload = (): void => {
    this.#settled = this.#requested;
    const { pinnedSessionId, isBusy } = this.#state;
    this.#set({ ...NOT_LOADED, pinnedSessionId, isBusy });
    void this.refresh();
  };

  /** The user did something on the page. */
  readonly #used = (): void => {
    if (this.#heartbeat === null || this.#state.session === null) return;
    if (Date.now() - this.#lastTouch >= this.#heartbeat) void this.touch();
  };

  /** Sends a change after those before it, applies `effect`, and returns the body of the response. */
  #change(url: string, body: Record<string, string>, effect: () => void): Promise<unknown> {
    this.#changesInProgress++;
    this.#set({ isBusy: true });
    const change = this.#changes.then(() => this.#send(url, body, effect));
    this.#changes = change.catch(() => {});
    return change;
  }

  async #send(url: string, body: Record<string, string>, effect: () => void): Promise<unknown> {
    const sessionId = this.#state.pinnedSessionId;
    this.#set({ error: null });
    try {
      const response = await request({ fetch: this.#fetch, url, sessionId, body });
      effect();
      return response.body;
    } catch (error) {
      if (error instanceof SessionRequestError) this.#set({ error });
      throw error;
    } finally {
      this.#set({ isBusy: --this.#changesInProgress > 0 });
      // A change may have taken effect although its response was lost.
      void this.refresh();
    }
  }

  #urlAfterSignOut(
    { redirectUrl }: SignOutOptions,
    scope: SignOutOptions['scope'],
    wasShown: boolean,
    server: string,
  ): string | null {
    if (redirectUrl !== undefined) return redirectUrl;
    const { signInUrl, afterSignOutUrl, afterMultiSessionSingleSignOutUrl } = this.urls;
    const remain = this.#state.sessions.length > 0;
    if (remain && !wasShown) return null;
    if (!remain || scope !== 'this') return afterSignOutUrl ?? server;
    const chooser = signInUrl === undefined ? server : chooserUrl(signInUrl);
    return afterMultiSessionSingleSignOutUrl ?? chooser;
  }

  #open(url: string): void {
    const resolved = resolveUrl(url);
    if (resolved !== null && !isThisPage(resolved)) this.#navigate(resolved);
  }

  #forget(id: string): void {
    if (this.#state.pinnedSessionId === id) this.#pin(null);
    this.#settle(this.#without(id), true);
  }

  #forgetAll(): void {
    this.#pin(null);
    this.#settle({ active: null, sessions: [] }, true);
  }

  /** A request that named session `id` was refused. Returns whether it was because of the session. */
  #refused(id: string | null, code: string | null): boolean {
    const isUnknown = code === 'session_mismatch' || code === 'not_signed_in_here';
    if (id !== null && isUnknown) this.#settle(this.#without(id));
    const isSignedOut = isUnknown || code === 'signed_out' || code === 'choose';
    if (isSignedOut) void this.refresh();
    return isSignedOut;
  }

  #without(id: string): SessionList {
    const active = this.#state.session?.id ?? null;
    const sessions = this.#state.sessions.filter((session) => session.id !== id);
    return { active: active === id ? null : active, sessions };
  }

  #pin(id: string | null): void {
    if (id === null) this.#tabStorage().removeItem(this.#name);
    else this.#tabStorage().setItem(this.#name, id);
    this.#set({ pinnedSessionId: id });
    // Responses on their way are about the account that this tab named before.
    this.#settle({ sessions: this.#state.sessions, active: id ?? this.#state.session?.id ?? null });
  }

  #tabStorage(): TabStorage {
    return (this.#storage ??= tabStorage());
  }

  /** Shows `list`, which is newer than all responses that are on their way. */
  #settle(list: SessionList, isSignOut = false): void {
    this.#settled = this.#requested;
    if (this.#state.isLoaded) this.#show(list, this.#state.isStale, isSignOut);
  }

  #show(list: SessionList, isStale: boolean, isSignOut = false): void {
    const before = this.#state;
    const sessions = reuse(before.sessions, list.sessions);
    // A pinned tab shows no other account, whatever the response contains.
    const isOther = before.pinnedSessionId !== null && list.active !== before.pinnedSessionId;
    const { session } = shownOf({ sessions, active: isOther ? null : list.active });
    const left = (session?.expiresAt.getTime() ?? Infinity) - this.#now();
    this.#set({
      isLoaded: before.isLoaded || !isStale,
      session,
      sessions,
      endsSoon: left <= this.#endsSoon,
      isStale,
      endReason: session !== null || isSignOut ? null : this.#endReason(before, sessions),
    });
    this.#tokens.retain(sessions.map(({ id }) => id));
    this.#schedule();
    this.#publish();
  }

  #endReason(before: SessionState, sessions: readonly Session[]): SessionState['endReason'] {
    const { session, endReason } = before;
    if (session === null) return endReason;
    if (sessions.some(({ id }) => id === session.id)) return null;
    const hasExpired = session.expiresAt.getTime() <= this.#now() + CLOCK_TOLERANCE;
    return hasExpired ? 'expired' : 'signed-out-elsewhere';
  }

  /** Fetches the list again when a session ends, when one ends soon, or after a failure. */
  #schedule(): void {
    clearTimeout(this.#timer);
    if (!this.#isRunning) return;
    const { session, sessions, isStale, endsSoon } = this.#state;
    const now = this.#now();
    const waits = sessions.map(({ expiresAt }) => expiresAt.getTime() - now + 500);
    if (session !== null && !endsSoon) waits.push(session.expiresAt.getTime() - this.#endsSoon - now);
    if (isStale && document.visibilityState === 'visible') {
      const doubled = Math.min(FIRST_RETRY * 2 ** (this.#failures - 1), LAST_RETRY);
      // Clients that lost the server together do not come back together.
      waits.push(doubled * (0.75 + Math.random() / 2));
    }
    const wait = Math.min(...waits);
    if (wait === Infinity) return;
    this.#timer = setTimeout(this.refresh, Math.min(Math.max(wait, 1000), LONGEST_TIMER));
  }

  /**
   * Informs other tabs, which fetch the list if theirs is another one. Only once for each list: a pinned
   * tab and another one never have the same.
   */
  #publish(): void {
    const fingerprint = this.#fingerprint();
    if (fingerprint === this.#published || this.#channel === undefined) return;
    this.#published = fingerprint;
    this.#channel.postMessage(fingerprint);
  }

  #fingerprint(): string {
    const { isLoaded, session, sessions } = this.#state;
    return isLoaded ? JSON.stringify([session?.id, sessions.map(({ id, status }) => [id, status])]) : '';
  }

  /** The server's clock in milliseconds. */
  #now(): number {
    return Date.now() + this.#skew;
  }

  #set(change: Partial<SessionState>): void {
    const previous = this.#state;
    const names = Object.keys(change) as (keyof SessionState)[];
    if (names.every((name) => previous[name] === change[name])) return;
    this.#state = { ...previous, ...change };
    for (const listener of this.#listeners) listener(this.#state, previous);
  }
}

const NOT_LOADED: SessionState = {
  isLoaded: false,
  session: null,
  sessions: [],
  pinnedSessionId: null,
  endsSoon: false,
  isStale: false,
  endReason: null,
  isBusy: false,
  error: null,
};

function shownOf({ active, sessions }: SessionList): Pick<SessionState, 'session' | 'sessions'> {
  const isShown = ({ id, status }: Session) => id === active && status === 'active';
  return { session: sessions.find(isShown) ?? null, sessions };
}

/** The chooser below a sign-in page: `/sign-in?a=b` makes it `/sign-in/choose?a=b`. */
function chooserUrl(signInUrl: string): string {
  const [, path = '', rest = ''] = /^([^?#]*)(.*)$/s.exec(signInUrl) ?? [];
  return `${path.replace(/\/$/, '')}/choose${rest}`;
}

/** Where the server redirects after a change: a path or a URL. */
function redirectOf(body: unknown): string {
  const { redirect_url } = members(body);
  return typeof redirect_url === 'string' ? redirect_url : '';
}
