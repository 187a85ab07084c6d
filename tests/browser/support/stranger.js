// A page of somebody else: a form that posts to wherever its address says.

import { once } from 'node:events';
import { createServer } from 'node:http';

const escape = (text) =>
  text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);

/** Serves such pages on a free port while `work` runs. `work` is called with a function from the name
 * of this machine, an address and the fields of a form to the address of the page. */
export async function withStranger(work) {
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url, 'http://localhost');
    const fields = [...searchParams].filter(([name]) => name !== 'action');
    const inputs = fields.map(
      ([name, value]) => `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`,
    );
    const action = escape(searchParams.get('action') ?? '');
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(
      `<!doctype html><html lang="en"><title>A stranger</title><link rel="icon" href="data:,">
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
