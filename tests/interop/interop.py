"""PyJWT and joserfc, driven by interop.test.js: one JSON object in, one out.

make    {"issuer"} -> {"jwks", "tokens": {name: token}}, made with PyJWT
verify  {"issuer", "token", "algorithm"} -> {"pyjwt": claims, "joserfc": claims}
"""

import base64
import hmac
import json
import sys
import time
import urllib.request

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet

AUDIENCE = "https://api.example.com"
PARTY = "https://app.example.com"


def make(issuer):
    keys = {
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "PS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    }
    jwks = []
    for name, key in keys.items():
        algorithm = jwt.get_algorithm_by_name(name)
        jwk = algorithm.to_jwk(key.public_key(), as_dict=True)
        # `use` and `key_ops` say the same, which RFC 7517 allows and this crate accepts.
        jwks.append({**jwk, "kid": name, "alg": name, "use": "sig", "key_ops": ["verify"]})

    now = int(time.time())
    good = {
        "iss": issuer,
        "aud": AUDIENCE,
        "azp": PARTY,
        "sub": "user_1",
        "sid": "sess_1",
        "iat": now,
        "nbf": now,
        "exp": now + 60,
        "name": "Ada",
    }

    def token(claims=good, algorithm="ES256", kid=None, key=None, **header):
        kid = algorithm if kid is None else kid
        key = keys[algorithm] if key is None else key
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid, **header})

    pem = keys["RS256"].public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )

    def by_public_key():
        # PyJWT refuses a public key as a secret, so its token is signed again here.
        signed = token(algorithm="HS256", kid="RS256", key="k" * 32).rpartition(".")[0]
        signature = hmac.digest(pem, signed.encode(), "sha256")
        return signed + "." + base64.urlsafe_b64encode(signature).decode().rstrip("=")

    tokens = {f"ok {name}": token(algorithm=name) for name in keys}
    tokens |= {
        "ok without typ": token(typ=None),
        "expired": token({**good, "iat": now - 120, "nbf": now - 120, "exp": now - 60}),
        "wrong aud": token({**good, "aud": "https://other.example.com"}),
        "wrong azp": token({**good, "azp": "https://evil.example.com"}),
        "no azp": token({k: v for k, v in good.items() if k != "azp"}),
        "wrong iss": token({**good, "iss": issuer + "/"}),
        "not yet": token({**good, "nbf": now + 60}),
        "alg none": token(algorithm="none", kid="ES256", key=""),
        "HS256 by the public key": by_public_key(),
        "unknown kid": token(kid="unknown"),
        "another key": token(kid="PS256", algorithm="PS256", key=keys["RS256"]),
        "crit": token(crit=["exp"], exp=now + 60),
        "access token": token(typ="at+jwt"),
        "no sid": token({k: v for k, v in good.items() if k != "sid"}),
        "fractions": token({**good, "exp": now + 60.5}),
    }
    return {"jwks": {"keys": jwks}, "tokens": tokens}


def verify(issuer, token, algorithm):
    url = issuer + "/.well-known/jwks.json"
    key = jwt.PyJWKClient(url).get_signing_key_from_jwt(token)
    by_pyjwt = jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        issuer=issuer,
        options={"require": ["exp", "iat", "nbf", "iss", "sub", "jti"]},
    )
    with urllib.request.urlopen(url) as response:
        keys = KeySet.import_key_set(json.load(response))
    # RFC 9864 calls this algorithm `Ed25519`; this crate uses the common name `EdDSA` (RFC 8037).
    by_joserfc = joserfc_jwt.decode(token, keys, algorithms=[algorithm])
    joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer}, exp={"essential": True}
    ).validate(by_joserfc.claims)
    return {"pyjwt": by_pyjwt, "joserfc": by_joserfc.claims}


if __name__ == "__main__":
    request = json.load(sys.stdin)
    json.dump({"make": make, "verify": verify}[sys.argv[1]](**request), sys.stdout)
