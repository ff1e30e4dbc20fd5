"""Which tokens are good."""

import base64
import json
import sys
from typing import Any

import jwt
import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from fairway.auth import TokenRefused, TokenVerifier
from tests.auth.signing import ANOTHER, NOW, PRIVATE, PUBLIC, SECRET, jwk, token


def verifier(keys: Any = SECRET, **options: Any) -> TokenVerifier:
    """A verifier, at the moment of these tests."""
    return TokenVerifier(keys, **{"algorithms": ["HS256"], "clock": lambda: NOW, **options})


async def refusal(text: str, checks: TokenVerifier) -> tuple[str, str]:
    """Why a token is refused: for the client, and for the log."""
    with pytest.raises(TokenRefused) as caught:
        await checks.verify(text)
    assert str(caught.value) == caught.value.detail
    return caught.value.reason, caught.value.detail


class TestGood:
    """Tokens that are accepted."""

    async def test_claims(self) -> None:
        """The claims are returned as they are."""
        assert await verifier().verify(token(role="captain")) == {
            "sub": "7",
            "exp": NOW + 3600,
            "role": "captain",
        }

    async def test_public_key(self) -> None:
        """A signature by a private key is checked with the public one."""
        checks = verifier(PUBLIC, algorithms=["RS256", "ES256"])
        assert (await checks.verify(token(PRIVATE, "RS256")))["sub"] == "7"

    async def test_jwk_set(self) -> None:
        """Or with a set of them."""
        checks = verifier({"keys": [jwk("a")]}, algorithms=["RS256"])
        text = token(PRIVATE, "RS256", {"kid": "a"})
        assert (await checks.verify(text))["sub"] == "7"

    async def test_rotation(self) -> None:
        """Tokens of the last key are good while it is listed, with and without its name."""
        checks = verifier({"old": ANOTHER, "new": SECRET})
        for text in (token(ANOTHER, header={"kid": "old"}), token(header={"kid": "new"}), token()):
            assert (await checks.verify(text))["sub"] == "7"
        assert await refusal(token(ANOTHER, header={"kid": "new"}), checks) == (
            "The token is not valid.",
            "No key of ours (kid 'new') has signed it.",
        )

    @pytest.mark.parametrize("audience", ["chat", ["mail", "chat"], {"chat"}])
    async def test_audience(self, audience: Any) -> None:
        """A token for one of ours is for us."""
        await verifier(audience=audience).verify(token(aud=["chat", "shop"]))

    @pytest.mark.parametrize("issuer", ["https://a.example", ["https://a.example", "b"]])
    async def test_issuer(self, issuer: Any) -> None:
        """A token of one of those whom we trust."""
        await verifier(issuer=issuer).verify(token(iss="https://a.example"))

    async def test_leeway(self) -> None:
        """Clocks may differ a little."""
        checks = verifier(leeway=10)
        await checks.verify(token(exp=NOW - 9))
        await checks.verify(token(nbf=NOW + 9, iat=NOW + 9))
        assert checks.ends_at({"exp": NOW}) == NOW + 10

    async def test_no_expiry(self) -> None:
        """A token may be good for ever, if that is wanted."""
        checks = verifier(require=["sub"])
        assert checks.ends_at(await checks.verify(token(exp=None))) is None


@pytest.mark.parametrize(
    ("text", "options", "detail"),
    [
        (token(ANOTHER), {}, "No key of ours (kid None) has signed it."),
        (token(exp=None), {}, 'Token is missing the "exp" claim'),
        (token(sub=None), {}, 'Token is missing the "sub" claim'),
        (token(), {"require": ["jti"]}, 'Token is missing the "jti" claim'),
        (token(exp="soon"), {}, "Its exp is no number."),
        (token(exp=True), {}, "Its exp is no number."),
        (token(nbf=[]), {}, "Its nbf is no number."),
        (token(aud="chat"), {}, "Invalid audience"),
        (token(aud="mail"), {"audience": "chat"}, "Audience doesn't match"),
        (token(), {"audience": "chat"}, 'Token is missing the "aud" claim'),
        (token(iss="b"), {"issuer": "a"}, "Invalid issuer"),
        (token(), {"issuer": "a"}, 'Token is missing the "iss" claim'),
        (token(), {"algorithms": ["HS512"], "keys": 64 * "x"}, "Its algorithm is 'HS256'."),
        (8193 * "x", {}, "It has more than 8192 characters."),
        ("", {}, "Not enough segments"),
        ("no token", {}, "Not enough segments"),
    ],
)
async def test_bad(text: str, options: dict[str, Any], detail: str) -> None:
    """A client is told no more than that it is bad; the log knows why."""
    assert await refusal(text, verifier(**options)) == ("The token is not valid.", detail)


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": ["b64"], "b64": True}])
async def test_critical_header(header: dict[str, Any]) -> None:
    """What must be understood, and is not, is refused."""
    assert (await refusal(token(header=header), verifier()))[0] == "The token is not valid."


@pytest.mark.parametrize("expired", [NOW, NOW - 1])
async def test_expired(expired: float) -> None:
    """On the moment of its expiry a token is not good any more."""
    reason = "The token has expired."
    assert await refusal(token(exp=expired), verifier()) == (reason, reason)


@pytest.mark.parametrize("text", [token(nbf=NOW + 1), token(iat=NOW + 1)])
async def test_too_early(text: str) -> None:
    """A token of tomorrow is not good today."""
    reason = "The token is not valid yet."
    assert await refusal(text, verifier()) == (reason, reason)


async def test_unsigned() -> None:
    """A token without signature is nobody's."""
    unsigned = jwt.encode({"sub": "7", "exp": NOW + 3600}, "", "none")
    assert (await refusal(unsigned, verifier()))[1] == "Its algorithm is 'none'."


async def test_public_key_as_a_secret() -> None:
    """Who signs with our public key as a secret is refused."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256"}).encode()).decode().rstrip("=")
    signed = token(PRIVATE, "RS256").split(".")
    checks = verifier(PUBLIC, algorithms=["RS256"])
    forged = ".".join([header, *signed[1:]])
    assert (await refusal(forged, checks))[1] == "Its algorithm is 'HS256'."


@given(st.text() | st.lists(st.text(), min_size=3, max_size=3).map(".".join))
async def test_never_fails(text: str) -> None:
    """Whatever a client sends is refused in the same way."""
    with pytest.raises(TokenRefused):
        await verifier().verify(text)


@pytest.mark.parametrize(
    ("algorithms", "message"),
    [
        ([], 'Name the algorithms in a list, such as ["RS256"], not [].'),
        ("RS256", "Name the algorithms in a list, such as [\"RS256\"], not 'RS256'."),
        (["None"], 'The algorithm "none" would accept everybody\'s tokens.'),
        (
            ["XS256"],
            (
                "PyJWT has no algorithm 'XS256' here. Those with public keys need cryptography: "
                "pip install fairway[tokens]"
            ),
        ),
        (
            ["HS256", "RS256"],
            (
                "Algorithms with a secret (HS…) and with a public key cannot be accepted together: "
                "whoever knows the public key could sign with it as a secret."
            ),
        ),
    ],
)
def test_mistakes(algorithms: Any, message: str) -> None:
    """What would accept anybody is refused at the start."""
    with pytest.raises(ImproperlyConfigured) as caught:
        verifier(algorithms=algorithms)
    assert str(caught.value) == message


def test_without_pyjwt(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, and the error says which."""
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(ImproperlyConfigured) as caught:
        verifier()
    assert str(caught.value) == (
        "Tokens need PyJWT, which is not installed: pip install fairway[tokens]"
    )
