// Another site, with a form that posts to the address in the query of its page.

import { once } from 'node:events';
import { createServer } from 'node:http';

const escape = (text) =>
  text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);

/**
 * Serves the other site on a free port while `work` runs. `work` is called with a function that returns
 * the URL of a page: `(host, action, fields)`, where `host` is a name of this machine.
 */
export async function withOtherSite(work) {
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url, 'http://localhost');
    const fields = [...searchParams].filter(([name]) => name !== 'action');
    const inputs = fields.map(
      ([name, value]) => `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`,
    );
    const action = escape(searchParams.get('action') ?? '');
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(
      `<!doctype html><html lang="en"><title>Another site</title><link rel="icon" href="data:,">
      <h1>You won</h1><form method="post" action="${action}">${inputs.join('')}<button>Collect</button></form>
      <a href="${action}?${new URLSearchParams(fields).toString().replaceAll('&', '&amp;')}">Look</a>`,
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  try {
    return await work(
      (host, action, fields) =>
        `http://${host}:${port}/?${new URLSearchParams({ action, ...fields })}`,
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
