// Finds a session in the list of `GET /session`.

import assert from 'node:assert/strict';

/** The id of the account's session, in the body of `GET /session`. */
export function sessionIdOf({ sessions }, account) {
  const session = sessions.find(({ subject }) => subject === account.user);
  assert.ok(session, `${account.user} is signed in from this browser`);
  return session.session_id;
}
