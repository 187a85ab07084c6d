/** What the client reads from the page that it runs in. Nothing here runs at import time. */

/** Storage of one tab. Without `sessionStorage`, which browsers can deny, it lasts as long as the page. */
export interface TabStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export function tabStorage(): TabStorage {
  try {
    const { sessionStorage } = globalThis;
    if (sessionStorage !== undefined) return sessionStorage;
  } catch {
    // Denied.
  }
  const items = new Map<string, string>();
  return {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
}

/** What [`watchPage`] reports. */
export interface PageEvents {
  /** The page was loaded, or a prerendered page is shown to the user. */
  begin(page: { readonly isSpeculative: boolean }): void;
  /** The user returned to the page, or the network is back. */
  returned(): void;
  /** The back button restored the page from memory: everything in it may be old. */
  restored(): void;
  /** The user did something. */
  used(): void;
}

/**
 * Reports what happens to the page until the returned function is called. A page that is being
 * prerendered does nothing until the user opens it.
 */
export function watchPage(events: PageEvents): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const watch = (isSpeculative: boolean) => {
    const returned = () => {
      if (document.visibilityState === 'visible') events.returned();
    };
    window.addEventListener('focus', returned, { signal });
    window.addEventListener('online', returned, { signal });
    document.addEventListener('visibilitychange', returned, { signal });
    const shown = ({ persisted }: PageTransitionEvent) => persisted && events.restored();
    window.addEventListener('pageshow', shown, { signal });
    for (const type of ['pointerdown', 'keydown', 'wheel', 'touchmove']) {
      window.addEventListener(type, events.used, { signal, passive: true, capture: true });
    }
    events.begin({ isSpeculative });
  };
  if (isPrerendering(document)) {
    const shown = () => watch(true);
    document.addEventListener('prerenderingchange', shown, { once: true, signal });
  } else {
    watch(wasPrefetched());
  }
  return () => stop.abort();
}

function isPrerendering(document: Document & { readonly prerendering?: boolean }): boolean {
  return document.prerendering === true;
}

/** Whether the browser had fetched this page before the user opened it. */
function wasPrefetched(): boolean {
  const [navigation] = performance.getEntriesByType?.('navigation') ?? [];
  const { deliveryType } = (navigation ?? {}) as { readonly deliveryType?: string };
  return deliveryType === 'navigational-prefetch';
}

/** `url` as seen from the page, if a browser may open it. */
export function resolveUrl(url: string): URL | null {
  const resolved = URL.canParse(url, location.href) ? new URL(url, location.href) : null;
  return resolved?.protocol === 'https:' || resolved?.protocol === 'http:' ? resolved : null;
}

export function isThisPage(url: URL): boolean {
  const { origin, pathname, search } = location;
  return url.origin === origin && url.pathname === pathname && url.search === search;
}

/** Whether a `fetch` of `input` goes to the origin of the page. */
export function isSameOrigin(input: RequestInfo | URL): boolean {
  if (typeof location === 'undefined') return false;
  const url = input instanceof Request ? input.url : String(input);
  return URL.canParse(url, location.href) && new URL(url, location.href).origin === location.origin;
}
