// An OpenID provider for this example: oidc-provider with its development pages, which accept every
// password. The login is the subject.

import { Provider } from 'oidc-provider';

const { PORT = '3001', CLIENT_ORIGIN = 'http://127.0.0.1:3000' } = process.env;

const names = new Map([
  ['ada', 'Ada Fernhill'],
  ['grace', 'Grace Tolmark'],
]);

/** `localhost` and 127.0.0.1 are different sites for browsers, as a provider and its client usually are. */
const configuration = {
  clients: [
    {
      client_id: 'example',
      client_secret: 'example-secret',
      redirect_uris: [`${CLIENT_ORIGIN}/callback`],
      post_logout_redirect_uris: [`${CLIENT_ORIGIN}/`],
    },
  ],
  claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
  // Puts the claims into the ID token, so that no second request is needed.
  conformIdTokenClaims: false,
  cookies: { keys: ['example'] },
  features: { devInteractions: { enabled: true } },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, name: names.get(sub) ?? sub, email: `${sub}@example.com` }),
  }),
  pkce: { required: () => true },
};

const server = new Provider(`http://localhost:${PORT}`, configuration).listen(Number(PORT), 'localhost', () => {
  console.log(`listening on http://localhost:${server.address().port}`);
});
process.on('SIGTERM', () => {
  server.closeAllConnections();
  server.close();
});
