import type { TabStorage } from './page.js';
import type { SessionRequestError } from './request.js';
import type { Session, SessionListJson } from './session.js';

/** Where the user goes after signing out. These take precedence over the server's configuration. */
export interface RedirectUrls {
  /** The sign-in page. `{signInUrl}/choose` is the account chooser. */
  readonly signInUrl?: string | undefined;
  /** After signing out of the last account, or of all. */
  readonly afterSignOutUrl?: string | undefined;
  /** After signing out of one account while others stay signed in. */
  readonly afterMultiSessionSingleSignOutUrl?: string | undefined;
}

/** Where the endpoints of the session layer are. */
export interface EndpointPaths {
  /** `/session` by default. */
  readonly session: string;
  /** `/session/switch` by default. */
  readonly switch: string;
  /** `/sign-out` by default. */
  readonly signOut: string;
  /** `/session/token` by default. */
  readonly token: string;
}

export interface SessionClientOptions extends RedirectUrls {
  /** What the server's `base_path` is set to. */
  readonly basePath?: string | undefined;
  /** Endpoints that are not at their default path. `basePath` is not put in front of these. */
  readonly paths?: Partial<EndpointPaths> | undefined;
  /** The result of [`fetchSessionList`] on the server that rendered the page. */
  readonly initialState?: SessionListJson | null | undefined;
  /** How many seconds before its end a session counts as ending soon. 60 by default. */
  readonly endsSoonSeconds?: number | undefined;
  /**
   * While the user works on the page, one request in this many seconds reports it to the server. 60 by
   * default; `false` turns that off.
   */
  readonly heartbeatSeconds?: number | false | undefined;
  /** Opens another page. `location.assign` by default. */
  readonly navigate?: ((url: URL) => void) | undefined;
  /** Instead of the global `fetch`. */
  readonly fetch?: typeof fetch | undefined;
  /** Instead of `sessionStorage`. */
  readonly storage?: TabStorage | undefined;
}

/** What one tab knows about the sessions of its browser. */
export interface SessionState {
  /** Whether the server has responded yet. */
  readonly isLoaded: boolean;
  /** The session that this tab shows. `null`: signed out, or no account is chosen. */
  readonly session: Session | null;
  /** All accounts of this browser, pending ones too. */
  readonly sessions: readonly Session[];
  /** The session that this tab is pinned to, whichever account is active in the browser. */
  readonly pinnedSessionId: string | null;
  /** The session that this tab shows expires soon, unless the user goes on. */
  readonly endsSoon: boolean;
  /** The last request got no response: this is the state from before. */
  readonly isStale: boolean;
  /** Why this tab's session is no longer signed in, unless this tab signed out of it. */
  readonly endReason: 'expired' | 'signed-out-elsewhere' | null;
  /** A switch or a sign-out is in progress. */
  readonly isBusy: boolean;
  /** Why the last switch or sign-out failed. */
  readonly error: SessionRequestError | null;
}

export interface SetActiveOptions {
  /** A session of this browser, or its id. */
  readonly session: Session | string;
  /** Where to go afterwards. The tab stays where it is by default. */
  readonly redirectUrl?: string | undefined;
}

export interface SignOutOptions {
  /** The account to sign out of. The one that this tab shows by default. */
  readonly sessionId?: string | undefined;
  /**
   * `this` account, all accounts of this `browser`, or the account in all browsers (`everywhere`,
   * which needs a session store on the server).
   */
  readonly scope?: 'this' | 'browser' | 'everywhere' | undefined;
  /** Where to go afterwards. `null`: nowhere. */
  readonly redirectUrl?: string | null | undefined;
}

export interface GetTokenOptions {
  /** In seconds, within what the server allows. */
  readonly lifetime?: number | undefined;
  /** One of the audiences that the server allows. */
  readonly audience?: string | undefined;
}
