import {
  createContext,
  type ReactNode,
  type RefObject,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';

import { SessionClient } from '../client.js';
import type { SessionClientOptions, SessionState } from '../options.js';

interface Provided {
  readonly client: SessionClient;
  /** Whether the next `UserButton` that is mounted takes the focus of the one before it. */
  readonly focusesUserButton: RefObject<boolean>;
}

const Sessions = createContext<Provided | null>(null);

/** Props of [`SessionProvider`]. All but `children` are read when the provider is mounted. */
export interface SessionProviderProps extends SessionClientOptions {
  readonly children: ReactNode;
  /** A client of your own. The other options are then ignored. */
  readonly client?: SessionClient | undefined;
}

/** Provides the sessions of this browser to the components in it. */
export function SessionProvider({ children, client, ...options }: SessionProviderProps) {
  const [provided] = useState(() => client ?? new SessionClient(options));
  const focusesUserButton = useRef(false);
  const [value] = useState({ client: provided, focusesUserButton });
  useEffect(() => provided.start(), [provided]);
  return <Sessions.Provider value={value}>{children}</Sessions.Provider>;
}

export function useProvided(name: string): Provided {
  const provided = useContext(Sessions);
  if (provided === null) throw new Error(`${name} must be inside of a <SessionProvider>`);
  return provided;
}

/** The client: `setActive`, `signOut`, `pinTab`, `fetch`, `getToken` and more. */
export function useSessionClient(): SessionClient {
  return useProvided('useSessionClient()').client;
}

/** Everything that this tab knows about the sessions of its browser. */
export function useSessionState(): SessionState {
  const { client } = useProvided('useSessionState()');
  return useSyncExternalStore(client.subscribe, client.getState, client.getInitialState);
}
