// The demo behind a proxy on a free port, which records what browsers send and receive.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';

import { Demo } from './demo.js';
import { makeFolder, removeFolder } from './folders.js';

/** A page of the site without content security policy, from which tests send requests. */
export const BLANK = '/blank';

let certificate;

/** The self-signed certificate for this machine, and its key. */
export function certificateFiles() {
  certificate ??= makeCertificate();
  return certificate;
}

function makeCertificate() {
  const folder = makeFolder();
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(folder, name));
  execFileSync('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '30'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
  ], { stdio: 'ignore' });
  const files = { key: readFileSync(key), cert: readFileSync(cert) };
  removeFolder(folder);
  return files;
}

/** Serves on a free port of this machine. */
export async function serve(scheme, handler) {
  const server =
    scheme === 'https'
      ? https.createServer(certificateFiles(), handler)
      : http.createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: (host) => `${scheme}://${host}:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export class Site {
  #server;
  #demo;
  /** The exchanges in order: method, path, the headers of both sides, status and `Set-Cookie` lines. */
  exchanges = [];
  /** Whether the proxy removes Fetch Metadata, as old proxies do. */
  stripsFetchMetadata = false;
  origin;

  static async start(scheme, host, settings = {}) {
    const site = new Site();
    site.#server = await serve(scheme, (request, response) => site.#handle(request, response));
    site.origin = site.#server.origin(host);
    try {
      site.#demo = await Demo.start({ SESSION_ORIGIN: site.origin, ...settings });
    } catch (error) {
      site.#server.close();
      throw error;
    }
    return site;
  }

  #handle(request, response) {
    const { pathname, searchParams } = new URL(request.url, this.origin);
    if (pathname === BLANK) {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      const policy = searchParams.get('policy');
      if (policy) response.setHeader('referrer-policy', policy);
      response.end('<!doctype html><title>Blank</title><link rel="icon" href="data:,"><h1>Blank</h1>');
      return;
    }
    const headers = { ...request.headers };
    if (this.stripsFetchMetadata) {
      for (const name of Object.keys(headers)) if (name.startsWith('sec-fetch-')) delete headers[name];
    }
    const { hostname, port } = new URL(this.#demo.address);
    const forwarded = http.request({ hostname, port, method: request.method, path: request.url, headers });
    forwarded.on('response', (answer) => {
      this.exchanges.push({
        method: request.method,
        path: request.url,
        sent: request.headers,
        status: answer.statusCode,
        received: answer.headers,
        cookies: answer.headers['set-cookie'] ?? [],
      });
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    forwarded.on('error', () => response.destroy());
    response.on('close', () => forwarded.destroy());
    request.pipe(forwarded);
  }

  get output() {
    return this.#demo.output;
  }

  url(path) {
    return this.origin + path;
  }

  /** The last exchange with this method and path. */
  last(method, path) {
    return this.exchanges.findLast((exchange) => exchange.method === method && exchange.path === path);
  }

  async stop() {
    this.#server.close();
    await this.#demo.stop();
  }
}
