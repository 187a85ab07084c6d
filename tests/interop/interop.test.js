// Tokens of this crate, read by other people's libraries, and theirs, read by this crate.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { verifyToken } from '@clerk/backend';
import * as jose from 'jose';

import { python, startService } from './support/service.js';

const AUDIENCE = 'https://api.example.com';
const PARTY = 'https://app.example.com';
const ALGORITHMS = ['EdDSA', 'ES256', 'RS256', 'PS256'];
const PEM = readFileSync(
  path.join(import.meta.dirname, '../vectors/keys/rsa2048.pub.pem'),
  'utf8',
);

/** What is refused, and why: by the reason that this crate's event gives. */
const REFUSALS = {
  expired: /is over/,
  'wrong aud': /another issuer or for another audience/,
  'wrong azp': /another issuer or for another audience/,
  'no azp': /another issuer or for another audience/,
  'wrong iss': /another issuer or for another audience/,
  'not yet': /from the future/,
  'alg none': /algorithm|malformed/,
  'HS256 by the public key': /algorithm/,
  'unknown kid': /kid/,
  'another key': /signature/,
  crit: /header/,
  'access token': /another type/,
  'no sid': /`sid`/,
  fractions: /`exp`/,
};

let service;
let issuer;
let made;
const keySets = {};
const tokens = {};

before(async () => {
  // The issuers that are somebody else: key sets under one origin.
  const server = createServer((request, response) => {
    const set = keySets[request.url];
    response.writeHead(set ? 200 : 404, { 'content-type': 'application/jwk-set+json' });
    response.end(JSON.stringify(set ?? {}));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  issuer = { jose: `${origin}/jose`, python: `${origin}/python`, stop: () => server.close() };
  const byPython = python('make', { issuer: issuer.python });
  made = { jose: await makeByJose(issuer.jose), python: await byPython };
  for (const name of ['jose', 'python']) {
    keySets[`/${name}/.well-known/jwks.json`] = made[name].jwks;
  }
  service = await startService([issuer.jose, issuer.python]);
  for (const algorithm of ALGORITHMS) {
    tokens[algorithm] = await issue(service.issuers[algorithm]);
  }
});

after(async () => {
  await service?.stop();
  issuer?.stop();
});

/** Signs in, and asks the layer for a bearer token. */
async function issue(url) {
  const signIn = await fetch(`${url}/sign-in`, { method: 'POST', headers: { origin: url } });
  assert.equal(signIn.status, 204);
  const [cookie] = signIn.headers.getSetCookie()[0].split(';');
  const headers = { cookie, origin: url };
  const answer = await fetch(`${url}/session/token`, { method: 'POST', headers });
  assert.equal(answer.status, 200);
  return (await answer.json()).token;
}

/** What the service that issues nothing says of a token. */
async function ask(token) {
  const headers = { authorization: `Bearer ${token}` };
  const answer = await fetch(service.verifier, { headers });
  return [answer.status, await answer.text()];
}

async function makeByJose(url) {
  const keys = {};
  const jwks = { keys: [] };
  for (const algorithm of ALGORITHMS) {
    keys[algorithm] = await jose.generateKeyPair(algorithm);
    const jwk = await jose.exportJWK(keys[algorithm].publicKey);
    jwks.keys.push({ ...jwk, kid: algorithm, alg: algorithm, use: 'sig' });
  }
  const now = Math.floor(Date.now() / 1000);
  const good = {
    iss: url, aud: [AUDIENCE, 'https://more.example.com'], azp: PARTY, sub: 'user_1',
    sid: 'sess_1', iat: now, nbf: now, exp: now + 60, name: 'Ada',
  };
  const sign = (claims, header = {}, key = keys.ES256.privateKey, options) =>
    new jose.SignJWT({ ...good, ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'ES256', typ: 'JWT', ...header })
      .sign(key, options);
  const byAlgorithm = (alg) => sign({}, { alg, kid: alg }, keys[alg].privateKey);
  const spki = await jose.exportSPKI(keys.RS256.publicKey);
  const secret = new TextEncoder().encode(spki);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const all = {
    'ok without typ': sign({}, { typ: undefined }),
    expired: sign({ iat: now - 120, nbf: now - 120, exp: now - 60 }),
    'wrong aud': sign({ aud: 'https://other.example.com' }),
    'wrong azp': sign({ azp: 'https://evil.example.com' }),
    'no azp': sign({ azp: undefined }),
    'wrong iss': sign({ iss: `${url}/` }),
    'not yet': sign({ nbf: now + 60 }),
    'alg none': new jose.UnsecuredJWT(good).encode(),
    'HS256 by the public key': sign({}, { alg: 'HS256', kid: 'RS256' }, secret),
    'unknown kid': sign({}, { kid: 'unknown' }),
    'another key': sign({}, {}, privateKey),
    crit: sign({}, { crit: ['exp'], exp: now }, undefined, { crit: { exp: true } }),
    'access token': sign({}, { typ: 'at+jwt' }),
    'no sid': sign({ sid: undefined }),
    fractions: sign({ exp: now + 60.5 }),
  };
  for (const algorithm of ALGORITHMS) {
    all[`ok ${algorithm}`] = byAlgorithm(algorithm);
  }
  const names = Object.keys(all);
  const signed = await Promise.all(Object.values(all));
  return { jwks, tokens: Object.fromEntries(names.map((name, at) => [name, signed[at]])) };
}

for (const algorithm of ALGORITHMS) {
  describe(`our ${algorithm}`, () => {
    const expected = (claims) => {
      assert.equal(claims.sub, 'user_1');
      assert.equal(claims.name, 'Ada');
      assert.equal(claims.azp, service.issuers[algorithm]);
      assert.equal(claims.exp - claims.iat, 60);
    };

    test('jose', async () => {
      const url = service.issuers[algorithm];
      const keys = jose.createRemoteJWKSet(new URL(`${url}/.well-known/jwks.json`));
      const options = { issuer: url, algorithms: [algorithm], typ: 'JWT' };
      expected((await jose.jwtVerify(tokens[algorithm], keys, options)).payload);
    });

    test('PyJWT and joserfc', async () => {
      const url = service.issuers[algorithm];
      const asked = { issuer: url, token: tokens[algorithm], algorithm };
      const claims = await python('verify', asked);
      expected(claims.pyjwt);
      expected(claims.joserfc);
    });

    test('this crate, elsewhere', async () => {
      assert.deepEqual(await ask(tokens[algorithm]), [200, 'Ada']);
    });
  });
}

describe("the hosted service's own library", () => {
  const options = () => ({ jwtKey: PEM, authorizedParties: [service.issuers.RS256] });

  test('takes our RS256', async () => {
    const claims = await verifyToken(tokens.RS256, options());
    assert.equal(claims.sub, 'user_1');
    assert.equal(claims.sts, 'active');
    assert.equal(claims.v, 2);
    assert.match(claims.sid, /^[\w-]{22}$/);
    assert.deepEqual(claims.fva, [0, -1]);
  });

  test('and refuses it for another party, and what we sign otherwise', async () => {
    const elsewhere = { ...options(), authorizedParties: ['https://evil.example.com'] };
    await assert.rejects(verifyToken(tokens.RS256, elsewhere), /azp/);
    await assert.rejects(verifyToken(tokens.PS256, options()), /algorithm/);
    await assert.rejects(verifyToken(tokens.ES256, options()), /algorithm/);
  });
});

for (const maker of ['jose', 'python']) {
  describe(`tokens of ${maker === 'python' ? 'PyJWT' : maker}`, () => {
    for (const name of [...ALGORITHMS, 'without typ'].map((what) => `ok ${what}`)) {
      test(name, async () => {
        assert.deepEqual(await ask(made[maker].tokens[name]), [200, 'Ada']);
      });
    }
    for (const [name, reason] of Object.entries(REFUSALS)) {
      test(name, async () => {
        const [status, why] = await ask(made[maker].tokens[name]);
        assert.equal(status, 401);
        assert.match(why, reason);
      });
    }
  });
}
