"""Options that contradict each other."""

from typing import Any

import pytest

from fairway.server.config import Config
from fairway.server.listening.conflicts import conflicts

ENDPOINTS = ("tcp:8000",)
NOTHING_ENCRYPTED = (
    "tls_client_certificates is 'required', but nothing is encrypted: name tls_certificate, or an "
    "ssl: endpoint."
)
NOBODY = (
    "The PROXY protocol is believed from nobody: trusted_proxies is empty, so that every "
    "connection would be refused."
)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tls_certificate": "c.pem", "tls_key": "k.pem", "tls_key_password": "secret"},
        {"tls_certificate": "c.pem", "unix_socket": "s", "port": 443},
        {"tls_certificate": "c.pem", "file_descriptor": 3},
        {"endpoints": ("ssl:443",), "tls_minimum_version": "1.3"},
        {
            "endpoints": ("ssl:443",),
            "tls_client_ca": "ca.pem",
            "tls_client_certificates": "required",
        },
        {"unix_socket": "s", "unix_socket_user": "site", "unix_socket_group": "www-data"},
        {"proxy_protocol": True},
        {"proxy_protocol": True, "unix_socket": "s", "trusted_proxies": ()},
        {"proxy_headers": True, "proxy_headers_kind": "forwarded", "proxy_headers_prefix": "X-P"},
        {"endpoints": ("haproxy:unix:s",), "trusted_proxies": ()},
    ],
)
def test_none(options: dict[str, Any]) -> None:
    """What fits together."""
    assert list(conflicts(Config(**options))) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"tls_key": "k.pem"}, ["tls_key needs tls_certificate beside it."]),
        ({"tls_key_password": "x"}, ["tls_key_password needs tls_certificate beside it."]),
        ({"unix_socket_user": "a"}, ["unix_socket_user needs unix_socket beside it."]),
        ({"unix_socket_group": "a"}, ["unix_socket_group needs unix_socket beside it."]),
        (
            {"tls_certificate": "c.pem", "tls_client_certificates": "optional"},
            ["tls_client_certificates is 'optional', which needs tls_client_ca beside it."],
        ),
        (
            {"tls_certificate": "c.pem", "tls_client_ca": "ca.pem"},
            ["tls_client_ca is without effect while tls_client_certificates is 'none'."],
        ),
        (
            {"tls_client_ca": "ca.pem", "tls_client_certificates": "required"},
            [NOTHING_ENCRYPTED],
        ),
        (
            {
                "tls_client_ca": "ca.pem",
                "tls_client_certificates": "required",
                "endpoints": ENDPOINTS,
            },
            [NOTHING_ENCRYPTED],
        ),
        (
            {"tls_certificate": "c.pem", "tls_minimum_version": "1.3", "tls_ciphers": "AES"},
            ["tls_ciphers is for TLS 1.2, which tls_minimum_version rules out."],
        ),
        *(
            (
                {"tls_certificate": "c.pem", **elsewhere},
                [
                    (
                        "tls_certificate is for what host, port and file_descriptor name, and none "
                        "of them is there. An endpoint names a certificate of its own: "
                        "ssl:443:privateKey=key.pem"
                    )
                ],
            )
            for elsewhere in ({"unix_socket": "s"}, {"endpoints": ENDPOINTS})
        ),
        (
            {"proxy_headers_kind": "forwarded", "proxy_headers_host": "X-Real-IP"},
            [
                (
                    "proxy_headers_host names a header that is not read: proxy_headers_kind is "
                    "'forwarded'."
                )
            ],
        ),
        (
            {"proxy_protocol": True, "endpoints": ENDPOINTS},
            [
                (
                    "proxy_protocol is for what host, port, file_descriptor and unix_socket name, "
                    "and none of them is there. An endpoint says it itself: "
                    "tcp:8000:proxyProtocol=on"
                )
            ],
        ),
        ({"proxy_protocol": True, "trusted_proxies": ()}, [NOBODY]),
        ({"endpoints": ("haproxy:tcp:80",), "trusted_proxies": ()}, [NOBODY]),
    ],
)
def test_named(options: dict[str, Any], expected: list[str]) -> None:
    """Each contradiction is a sentence that says what to do."""
    assert list(conflicts(Config(**options))) == expected
