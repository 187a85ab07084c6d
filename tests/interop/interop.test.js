// Other JWT libraries verify tokens of this crate, and this crate verifies tokens of theirs.

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

/** The tokens that this crate rejects, with the reason in its event. */
const REJECTIONS = {
  expired: /has expired/,
  'wrong aud': /another issuer or for another audience/,
  'wrong azp': /another issuer or for another audience/,
  'no azp': /another issuer or for another audience/,
  'wrong iss': /another issuer or for another audience/,
  'not yet': /not valid yet/,
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
/** The keys and tokens of each other library. */
let generated;
const keySets = {};
const tokens = {};

before(async () => {
  // Serves the key sets of the other issuers, under one origin.
  const server = createServer((request, response) => {
    const set = keySets[request.url];
    response.writeHead(set ? 200 : 404, { 'content-type': 'application/jwk-set+json' });
    response.end(JSON.stringify(set ?? {}));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  issuer = { jose: `${origin}/jose`, python: `${origin}/python`, stop: () => server.close() };
  const byPython = python('make', { issuer: issuer.python });
  generated = { jose: await generateWithJose(issuer.jose), python: await byPython };
  for (const name of ['jose', 'python']) {
    keySets[`/${name}/.well-known/jwks.json`] = generated[name].jwks;
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

/** Signs in, and requests a bearer token from the layer. */
async function issue(url) {
  const signIn = await fetch(`${url}/sign-in`, { method: 'POST', headers: { origin: url } });
  assert.equal(signIn.status, 204);
  const [cookie] = signIn.headers.getSetCookie()[0].split(';');
  const headers = { cookie, origin: url };
  const response = await fetch(`${url}/session/token`, { method: 'POST', headers });
  assert.equal(response.status, 200);
  return (await response.json()).token;
}

/** Sends a token to the service that verifies only: its status, and the user's name or the reason. */
async function verifyByCrate(token) {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(service.verifier, { headers });
  return [response.status, await response.text()];
}

async function generateWithJose(url) {
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
  describe(`a ${algorithm} token of this crate`, () => {
    const assertClaims = (claims) => {
      assert.equal(claims.sub, 'user_1');
      assert.equal(claims.name, 'Ada');
      assert.equal(claims.azp, service.issuers[algorithm]);
      assert.equal(claims.exp - claims.iat, 60);
    };

    test('is verified by jose', async () => {
      const url = service.issuers[algorithm];
      const keys = jose.createRemoteJWKSet(new URL(`${url}/.well-known/jwks.json`));
      const options = { issuer: url, algorithms: [algorithm], typ: 'JWT' };
      assertClaims((await jose.jwtVerify(tokens[algorithm], keys, options)).payload);
    });

    test('is verified by PyJWT and joserfc', async () => {
      const url = service.issuers[algorithm];
      const request = { issuer: url, token: tokens[algorithm], algorithm };
      const claims = await python('verify', request);
      assertClaims(claims.pyjwt);
      assertClaims(claims.joserfc);
    });

    test('is verified by this crate in another service', async () => {
      assert.deepEqual(await verifyByCrate(tokens[algorithm]), [200, 'Ada']);
    });
  });
}

describe("the hosted service's library", () => {
  const options = () => ({ jwtKey: PEM, authorizedParties: [service.issuers.RS256] });

  test('verifies an RS256 token of this crate', async () => {
    const claims = await verifyToken(tokens.RS256, options());
    assert.equal(claims.sub, 'user_1');
    assert.equal(claims.sts, 'active');
    assert.equal(claims.v, 2);
    assert.match(claims.sid, /^[\w-]{22}$/);
    assert.deepEqual(claims.fva, [0, -1]);
  });

  test('rejects it for another party, and tokens of other algorithms', async () => {
    const otherParty = { ...options(), authorizedParties: ['https://evil.example.com'] };
    await assert.rejects(verifyToken(tokens.RS256, otherParty), /azp/);
    await assert.rejects(verifyToken(tokens.PS256, options()), /algorithm/);
    await assert.rejects(verifyToken(tokens.ES256, options()), /algorithm/);
  });
});

for (const library of ['jose', 'python']) {
  describe(`a token of ${library === 'python' ? 'PyJWT' : library}`, () => {
    for (const name of [...ALGORITHMS, 'without typ'].map((variant) => `ok ${variant}`)) {
      test(`is accepted: ${name}`, async () => {
        assert.deepEqual(await verifyByCrate(generated[library].tokens[name]), [200, 'Ada']);
      });
    }
    for (const [name, expected] of Object.entries(REJECTIONS)) {
      test(`is rejected: ${name}`, async () => {
        const [status, reason] = await verifyByCrate(generated[library].tokens[name]);
        assert.equal(status, 401);
        assert.match(reason, expected);
      });
    }
  });
}
