"""JSON Web Tokens (RFC 7519): whether one is good, and what it says.

PyJWT checks signatures, issuers and audiences. It is an extra: ``pip install fairway[tokens]``.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

from fairway.auth.keys import Keys, KeySet

#: Characters of a token; a longer one is refused unread.
MAX_TOKEN_SIZE: Final = 8 * 1024

NOT_VALID: Final = "The token is not valid."
EXPIRED: Final = "The token has expired."


class TokenRefused(Exception):
    """A token is not good, or not for this connection.

    Attributes:
        reason: Why, in a sentence that a client may read.
        detail: Why, for the log.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail or reason
        super().__init__(self.detail)


class TokenVerifier:
    """Tells good tokens from bad ones.

    Args:
        keys: What tokens are signed with: a secret or a public key in PEM; a dictionary of such by
            ``kid``, to rotate them; a JWK or a JWK Set (RFC 7517) as a dictionary; the path of a
            file that holds PEM or a JWK Set, read again when it changes; or a function that gets
            the token's header and returns a key, several, or None. The function may be ``async``;
            if it is not, it runs in a thread. Nothing is fetched from the network.
        algorithms: Those that are accepted, such as ``["RS256"]``. Never "none"; and either those
            with a secret (HS…) or those with a public key, since a public key must not be taken
            for a secret.
        issuer: Who may have issued it (``iss``); one, several, or None for anybody.
        audience: For whom it may be (``aud``), of which it must name one. With None, a token that
            names an audience is refused: it is meant for somebody else (RFC 7519 §4.1.3).
        leeway: Seconds that other machines' clocks may differ.
        require: Claims that must be there.
        clock: Seconds since the epoch.

    Raises:
        ImproperlyConfigured: PyJWT is missing, or something here cannot work.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        algorithms: Sequence[str],
        issuer: str | Sequence[str] | None = None,
        audience: str | Iterable[str] | None = None,
        leeway: float = 0.0,
        require: Sequence[str] = ("exp", "sub"),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.algorithms = _check_algorithms(algorithms)
        self.issuer = issuer
        self.audience = audience
        self.leeway = leeway
        self.require = tuple(require)
        self.clock = clock
        self._keys = KeySet(keys, self.algorithms)

    async def verify(self, token: str) -> dict[str, Any]:
        """Return the claims of a good token.

        Raises:
            TokenRefused: It is not good.
        """
        import jwt  # noqa: PLC0415  an extra

        if len(token) > MAX_TOKEN_SIZE:
            raise TokenRefused(NOT_VALID, f"It has more than {MAX_TOKEN_SIZE} characters.")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise TokenRefused(NOT_VALID, str(error)) from error
        if header.get("alg") not in self.algorithms:
            raise TokenRefused(NOT_VALID, f"Its algorithm is {header.get('alg')!r}.")
        if "crit" in header:  # none of which is understood here, so it MUST be rejected
            raise TokenRefused(NOT_VALID, "It has critical header parameters (RFC 7515 §4.1.11).")
        for key in await self._keys.candidates(header):
            if key is None:
                continue
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key=key,
                    algorithms=[header["alg"]],
                    issuer=self.issuer,
                    audience=self.audience,
                    # Against a clock of our own, below.
                    options={
                        "require": list(self.require),
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                    },
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.PyJWTError as error:
                raise TokenRefused(NOT_VALID, str(error)) from error
            self._check_times(claims)
            return claims
        raise TokenRefused(NOT_VALID, f"No key of ours (kid {header.get('kid')!r}) has signed it.")

    def ends_at(self, claims: dict[str, Any]) -> float | None:
        """Return the moment at which a token is not good any more, in seconds since the epoch."""
        return float(claims["exp"]) + self.leeway if "exp" in claims else None

    def _check_times(self, claims: dict[str, Any]) -> None:
        now = self.clock()
        for name in ("exp", "nbf", "iat"):
            if name in claims and not _is_number(claims[name]):
                raise TokenRefused(NOT_VALID, f"Its {name} is no number.")
        ends_at = self.ends_at(claims)
        # "the expiration time on or after which the JWT MUST NOT be accepted" (RFC 7519 §4.1.4)
        if ends_at is not None and ends_at <= now:
            raise TokenRefused(EXPIRED)
        for name in ("nbf", "iat"):
            if name in claims and claims[name] - self.leeway > now:
                raise TokenRefused("The token is not valid yet.")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check_algorithms(algorithms: Sequence[str]) -> tuple[str, ...]:
    try:
        import jwt  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ImproperlyConfigured(
            "Tokens need PyJWT, which is not installed: pip install fairway[tokens]"
        ) from error
    if isinstance(algorithms, str) or not algorithms:
        raise ImproperlyConfigured(
            f'Name the algorithms in a list, such as ["RS256"], not {algorithms!r}.'
        )
    for algorithm in algorithms:
        if str(algorithm).lower() == "none":
            raise ImproperlyConfigured('The algorithm "none" would accept everybody\'s tokens.')
        try:
            jwt.get_algorithm_by_name(algorithm)
        except NotImplementedError as error:
            raise ImproperlyConfigured(
                f"PyJWT has no algorithm {algorithm!r} here. Those with public keys need "
                "cryptography: pip install fairway[tokens]"
            ) from error
    with_secret = {str(algorithm).startswith("HS") for algorithm in algorithms}
    if len(with_secret) > 1:
        raise ImproperlyConfigured(
            "Algorithms with a secret (HS…) and with a public key cannot be accepted together: "
            "whoever knows the public key could sign with it as a secret."
        )
    return tuple(algorithms)
