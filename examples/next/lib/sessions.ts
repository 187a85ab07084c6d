import { headers } from 'next/headers';
import { cache } from 'react';
import { fetchSessionList, type SessionListJson } from 'tower-auth-session';

/** The service with the session layer: `cargo run --example accounts`. */
export function serviceOrigin(): string {
  return process.env.SESSION_SERVICE ?? 'http://127.0.0.1:3000';
}

/** The accounts of the visitor, or `null` if the service does not respond. Fetched once per request. */
export const sessionList = cache(async (): Promise<SessionListJson | null> => {
  const cookie = await cookies();
  try {
    return await fetchSessionList(`${serviceOrigin()}/session`, { cookie });
  } catch (error) {
    console.error('the list of sessions cannot be fetched:', error);
    return null;
  }
});

/** What the service's own API responds for the active account. */
export interface Me {
  readonly session_id: string;
  readonly claims: { readonly name: string; readonly role: string };
}

/** `null` if no account is active. */
export async function fetchMe(): Promise<Me | null> {
  const response = await fetch(`${serviceOrigin()}/api/me`, {
    headers: {
      accept: 'application/json',
      cookie: await cookies(),
      // A page that is rendered is no activity: the browser's client reports what the user does.
      'session-activity': 'none',
    },
    cache: 'no-store',
  });
  return response.ok ? ((await response.json()) as Me) : null;
}

async function cookies(): Promise<string> {
  return (await headers()).get('cookie') ?? '';
}
