"""Keys and tokens for tests."""

import base64
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

SECRET = "a secret that only the issuer and we know"
ANOTHER = "another secret, which was used until today"

#: The moment that these tests take place.
NOW = 1_000_000.0

_private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = _private.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
PUBLIC = (
    _private.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def token(
    key: str = SECRET, algorithm: str = "HS256", header: dict[str, Any] | None = None, **claims: Any
) -> str:
    """A token that is good for an hour, unless its claims say something else; None is left out."""
    payload = {"sub": "7", "exp": NOW + 3600, **claims}
    payload = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(payload, key, algorithm, header)


def secret_jwk(kid: str, **members: str) -> dict[str, Any]:
    """The secret as a JSON Web Key."""
    text = base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("=")
    return {"kty": "oct", "k": text, "kid": kid, **members}


def jwk(kid: str, **members: str) -> dict[str, Any]:
    """The public key as a JSON Web Key."""
    found = jwt.algorithms.RSAAlgorithm.to_jwk(_private.public_key())
    return {**json.loads(found), "kid": kid, **members}
