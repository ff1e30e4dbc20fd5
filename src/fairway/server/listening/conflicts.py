"""Options that contradict each other, or say nothing without another one."""

from collections.abc import Iterator

from fairway.server.config import Config
from fairway.server.listening.endpoints import UnixEndpoint, parse_endpoint

#: What ``Forwarded`` makes meaningless: the headers of the other kind.
_X_FORWARDED = ("proxy_headers_host", "proxy_headers_port", "proxy_headers_scheme")


def conflicts(config: Config) -> Iterator[str]:
    """What a server cannot do, or only seems to do, with these options; a sentence for each.

    The command line and the settings are one configuration by then: what one lacks may stand in the
    other.
    """
    yield from _of_files(config)
    yield from _of_tls(config)
    yield from _of_proxies(config)


def _of_files(config: Config) -> Iterator[str]:
    for name, wanted in (
        ("tls_key", "tls_certificate"),
        ("tls_key_password", "tls_certificate"),
        ("unix_socket_user", "unix_socket"),
        ("unix_socket_group", "unix_socket"),
    ):
        if getattr(config, name) is not None and getattr(config, wanted) is None:
            yield f"{name} needs {wanted} beside it."


def _of_tls(config: Config) -> Iterator[str]:
    certificates, authorities = config.tls_client_certificates, config.tls_client_ca
    if certificates != "none" and authorities is None:
        yield f"tls_client_certificates is {certificates!r}, which needs tls_client_ca beside it."
    if certificates == "none" and authorities is not None:
        yield "tls_client_ca is without effect while tls_client_certificates is 'none'."
    if certificates != "none" and not _is_encrypted(config):
        yield (
            f"tls_client_certificates is {certificates!r}, but nothing is encrypted: "
            "name tls_certificate, or an ssl: endpoint."
        )
    if config.tls_ciphers is not None and config.tls_minimum_version == "1.3":
        yield "tls_ciphers is for TLS 1.2, which tls_minimum_version rules out."
    if config.tls_certificate is not None and not _has_places(config, unix=False):
        yield (
            "tls_certificate is for what host, port and file_descriptor name, and none of them is "
            "there. An endpoint names a certificate of its own: ssl:443:privateKey=key.pem"
        )


def _of_proxies(config: Config) -> Iterator[str]:
    if config.proxy_headers_kind == "forwarded":
        for name in _X_FORWARDED:
            if getattr(config, name) != getattr(_DEFAULTS, name):
                yield (
                    f"{name} names a header that is not read: proxy_headers_kind is 'forwarded'."
                )
    if config.proxy_protocol and not _has_places(config, unix=True):
        yield (
            "proxy_protocol is for what host, port, file_descriptor and unix_socket name, and none "
            "of them is there. An endpoint says it itself: tcp:8000:proxyProtocol=on"
        )
    if not config.trusted_proxies and _expects_proxies_by_tcp(config):
        yield (
            "The PROXY protocol is believed from nobody: trusted_proxies is empty, so that every "
            "connection would be refused."
        )


def _has_places(config: Config, *, unix: bool) -> bool:
    """Whether there is something to listen on that the options are for, beside endpoints."""
    named = (config.host, config.port, config.file_descriptor)
    if any(value is not None for value in named) or (unix and config.unix_socket is not None):
        return True
    return not config.endpoints and config.unix_socket is None


def _is_encrypted(config: Config) -> bool:
    if config.tls_certificate is not None:
        return True
    return any(getattr(parse_endpoint(text), "certificate", None) for text in config.endpoints)


def _expects_proxies_by_tcp(config: Config) -> bool:
    if config.proxy_protocol and _has_places(config, unix=False) and config.file_descriptor is None:
        return True
    endpoints = [parse_endpoint(text) for text in config.endpoints]
    return any(each.proxy_protocol for each in endpoints if not isinstance(each, UnixEndpoint))


_DEFAULTS = Config()
