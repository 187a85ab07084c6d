// What applications write, against the built package. Each line under `@ts-expect-error` is a mistake
// that the types have to find.

import {
  fetchSessionList,
  type Session,
  SessionClient,
  type SessionListJson,
  SessionRequestError,
  type SessionState,
} from 'tower-auth-session';

const client = new SessionClient({
  basePath: '/app',
  paths: { signOut: '/bye' },
  signInUrl: '/sign-in',
  afterSignOutUrl: undefined,
  afterMultiSessionSingleSignOutUrl: '/',
  endsSoonSeconds: 120,
  heartbeatSeconds: false,
  navigate: (url: URL) => console.log(url.href),
});

const stop: () => void = client.start();
const unsubscribe: () => void = client.subscribe((state: SessionState, previous) => {
  if (state.endsSoon && !previous.endsSoon) console.log(state.session?.expiresAt.toISOString());
});

export async function use(session: Session): Promise<string | null> {
  await client.setActive({ session });
  await client.setActive({ session: session.id, redirectUrl: '/inbox' });
  await client.signOut();
  await client.signOut({ sessionId: session.id, redirectUrl: null });
  await client.signOut({ scope: 'everywhere' });
  const renewed: boolean = await client.touch();
  const response: Response = await client.fetch('/api/me', { method: 'POST' });
  const date: Date = session.expiresAt;
  stop();
  unsubscribe();
  console.log(renewed, response.status, date, session.actor?.sub);

  // @ts-expect-error: a session is required.
  await client.setActive({});
  // @ts-expect-error: no such scope.
  await client.signOut({ scope: 'all' });
  // @ts-expect-error: the state is read-only.
  client.getState().session = null;
  // @ts-expect-error: `true` is no number of seconds.
  new SessionClient({ heartbeatSeconds: true });
  // @ts-expect-error: not a status.
  if (session.status === 'signed-in') return null;
  return client.getToken({ audience: 'api', lifetime: 60 });
}

export async function onServer(cookie: string | null): Promise<SessionListJson | null> {
  try {
    return await fetchSessionList('http://127.0.0.1:3000/session', { cookie });
  } catch (error) {
    if (error instanceof SessionRequestError) console.log(error.status, error.code);
    return null;
  }
}
