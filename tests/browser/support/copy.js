// Another client, with a copy of a browser's cookies.

import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import https from 'node:https';
import { text } from 'node:stream/consumers';

import { certificateFiles } from './site.js';

/** What a browser states when a user opens a page. */
export const NAVIGATION = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-site': 'none' };

export class Copy {
  #site;
  #cookies;
  #keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  /** A client of `site` that sends `cookies`, and stores none. */
  constructor(site, cookies) {
    this.#site = site;
    this.#cookies = cookies;
  }

  /** The client without the cookies that `isLeftOut` selects. */
  without(isLeftOut) {
    const copy = new Copy(this.#site, this.#cookies.filter((cookie) => !isLeftOut(cookie)));
    copy.#keys = this.#keys;
    return copy;
  }

  /** The response to a request with the cookies: status, headers and body. */
  async request(method, path, headers = {}) {
    const cookie = this.#cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const request = https.request(this.#site.url(path), {
      method,
      ca: certificateFiles().cert,
      headers: { cookie, origin: this.#site.origin, ...headers },
    });
    request.end();
    const [response] = await once(request, 'response');
    return { status: response.statusCode, headers: response.headers, body: await text(response) };
  }

  /** `challenge`, signed with a key of this client. */
  sign(challenge) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ alg: 'ES256', typ: 'dbsc+jwt' })}.${part({ jti: challenge })}`;
    const key = { key: this.#keys.privateKey, dsaEncoding: 'ieee-p1363' };
    return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
  }
}
