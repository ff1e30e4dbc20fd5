r"""Endpoint strings: where to listen, in the words of ``daphne --endpoint``.

Text such as ``tcp:port=8000:interface=127.0.0.1`` or ``ssl:443:privateKey=k.pem:certKey=c.pem``: a
kind, then arguments, parted by colons; an argument may have a name. ``\`` takes the special meaning
from the character behind it, as the colons of an IPv6 address need: ``interface=\:\:1``.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from fairway.server.listening.tls import Certificate

#: What Twisted listens on without ``interface=``.
_EVERY_IPV4, _EVERY_IPV6 = "0.0.0.0", "::"  # noqa: S104  what was written means this

#: ``sslmethod=`` that asks for what is done anyway: the best version that both sides have.
_NEGOTIATED: Final = frozenset({"SSLv23_METHOD", "TLS_METHOD", "TLSv1_2_METHOD"})

_PART = re.compile(r"(?:[^\\:=]|\\.)+|[:=]")


class EndpointError(ValueError):
    """An endpoint string cannot be understood; the message says which and why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TCPEndpoint:
    """An address and a port.

    Attributes:
        host: Address or name to listen on.
        port: From 0 (any free one) to 65535.
        certificate: Whom the server proves to be, for TLS; None for plain TCP.
        backlog: Connections that may wait to be accepted; None for the server's default.
        ipv6_only: Whether ``::`` leaves IPv4 to others.
        proxy_protocol: Whether connections begin with a header of the PROXY protocol.
    """

    host: str
    port: int
    certificate: Certificate | None = None
    backlog: int | None = None
    ipv6_only: bool = False
    proxy_protocol: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UnixEndpoint:
    """A Unix socket.

    Attributes:
        path: Its file.
        mode: The permissions of that.
        user: Its owner, by name or number; None for who runs the server.
        group: Its group; None for that of its owner or directory, as the system has it.
        backlog: As in :class:`TCPEndpoint`.
        proxy_protocol: As there.
    """

    path: str
    mode: int = 0o666
    user: str | None = None
    group: str | None = None
    backlog: int | None = None
    proxy_protocol: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DescriptorEndpoint:
    """A socket that was inherited as a file descriptor.

    Attributes:
        descriptor: Its number.
        certificate: As in :class:`TCPEndpoint`; not used if it is a Unix socket.
        proxy_protocol: As there.
    """

    descriptor: int
    certificate: Certificate | None = None
    proxy_protocol: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SystemdEndpoint:
    """What systemd passes: the socket of that index, or else all of that name.

    See https://www.freedesktop.org/software/systemd/man/sd_listen_fds.html.

    Attributes:
        index: From 0 on, in the order of the units.
        name: That of the unit, or its ``FileDescriptorName=``. A unit may have several sockets.
        certificate: As in :class:`DescriptorEndpoint`.
        proxy_protocol: As in :class:`TCPEndpoint`.
    """

    index: int | None = None
    name: str | None = None
    certificate: Certificate | None = None
    proxy_protocol: bool = False


Endpoint: TypeAlias = TCPEndpoint | UnixEndpoint | DescriptorEndpoint | SystemdEndpoint


def parse_endpoint(text: str) -> Endpoint:
    """Understand an endpoint string.

    Raises:
        EndpointError: It names a kind that does not exist, or lacks an argument, or has a wrong
            one.
    """
    kind, positional, named = _split(text)
    if kind == _WRAPPER:
        return _behind_a_proxy(text)
    known = _KINDS.get(kind)
    if known is None:
        kinds = ", ".join([*_KINDS, _WRAPPER])
        reason = _ELSEWHERE.get(kind, f"there is no kind {kind!r}, only {kinds}")
        raise EndpointError(f"Cannot listen on {text!r}: {reason}.")
    names, build = known
    try:
        return build(_Arguments(_bind(names, positional, named)))
    except EndpointError as error:
        raise EndpointError(f"Cannot listen on {text!r}: {error}.") from None


def _behind_a_proxy(text: str) -> Endpoint:
    """``haproxy:tcp:8000`` is ``tcp:8000`` with the PROXY protocol, as in Twisted."""
    inner = text.removeprefix(_WRAPPER).removeprefix(":")
    if not inner or inner.startswith(f"{_WRAPPER}:"):
        raise EndpointError(
            f"Cannot listen on {text!r}: it wraps no other, as haproxy:tcp:80 does."
        )
    return dataclasses.replace(parse_endpoint(inner), proxy_protocol=True)


def _split(text: str) -> tuple[str, list[str], dict[str, str]]:
    """The kind, the arguments without a name and those with one."""
    arguments: list[tuple[str | None, str]] = []
    name: str | None = None
    value = ""
    for part in [*_PART.findall(text), ":"]:
        if part == ":":
            arguments.append((name, value))
            name, value = None, ""
        elif part == "=" and name is None:
            name, value = value, ""
        else:
            value += re.sub(r"\\(.)", r"\1", part)
    kind = arguments[0][1] if arguments[0][0] is None else ""
    positional = [value for name, value in arguments[1:] if name is None]
    return kind, positional, {name: value for name, value in arguments[1:] if name is not None}


def _bind(names: str, positional: list[str], named: dict[str, str]) -> dict[str, str]:
    """Give every argument its name."""
    ordered, _, others = names.partition("|")
    order = ordered.split()
    known = [*order, *others.split()]
    if len(positional) > len(order):
        raise EndpointError(f"{positional[len(order)]!r} is one argument too many")
    found = dict(zip(order, positional, strict=False))
    for name, value in named.items():
        if name not in known:
            raise EndpointError(f"there is no {name!r}, only {', '.join(known)}")
        if name in found:
            raise EndpointError(f"it says {name!r} twice")
        found[name] = value
    return found


class _Arguments:
    """The arguments of an endpoint, by name."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str) -> str | None:
        """An argument, or None without it."""
        return self._values.get(name) or None

    def required(self, name: str) -> str:
        """An argument that has to be there."""
        value = self.text(name)
        if value is None:
            raise EndpointError(f"it has no {name!r}")
        return value

    def number(self, name: str, most: int | None = None, base: int = 10) -> int | None:
        """A whole number from 0 on, or None without it."""
        value = self.text(name)
        if value is None:
            return None
        try:
            number = int(value, base) if value.isalnum() else -1
        except ValueError:
            number = -1
        if number < 0 or (most is not None and number > most):
            range_ = f" from 0 to {most:o}" if base == 8 and most else ""
            range_ = range_ or (f" from 0 to {most}" if most else "")
            raise EndpointError(f"{name!r} must be a number{range_}, not {value!r}")
        return number

    def switch(self, name: str) -> bool:
        """Whether something is on; it is not without the argument."""
        value = self.text(name)
        if value not in (None, "on", "off"):
            raise EndpointError(f"{name!r} must be on or off, not {value!r}")
        return value == "on"

    def certificate(self, default: str | None = None) -> Certificate | None:
        """What is named for TLS; None if nothing is.

        Args:
            default: The file with the key, if the endpoint is encrypted whether it names one or
                not.
        """
        key = self.text("privateKey") or default
        if key is None:
            for name in ("certKey", "extraCertChain"):
                if self.text(name) is not None:
                    raise EndpointError(f"{name!r} needs 'privateKey' beside it")
            return None
        return Certificate(
            certificate=self.text("certKey") or key,
            key=key,
            chain=self.text("extraCertChain"),
            dh_parameters=self.text("dhParameters"),
        )

    def required_number(self, name: str, most: int | None = None) -> int:
        """A number that has to be there."""
        self.required(name)
        number = self.number(name, most)
        assert number is not None
        return number


def _tcp(arguments: _Arguments, default: str = _EVERY_IPV4) -> TCPEndpoint:
    host = (arguments.text("interface") or default).removeprefix("[").removesuffix("]")
    return TCPEndpoint(
        host=host,
        port=arguments.required_number("port", 65535),
        backlog=arguments.number("backlog") or None,
        ipv6_only=arguments.switch("ipv6Only"),
        proxy_protocol=arguments.switch("proxyProtocol"),
    )


def _tcp6(arguments: _Arguments) -> TCPEndpoint:
    return _tcp(arguments, _EVERY_IPV6)


def _ssl(arguments: _Arguments) -> TCPEndpoint:
    method = arguments.text("sslmethod")
    if method is not None and method not in _NEGOTIATED:
        raise EndpointError(
            f"'sslmethod' cannot be {method!r}: the version is negotiated, from TLS 1.2 on"
        )
    return dataclasses.replace(_tcp(arguments), certificate=arguments.certificate("server.pem"))


def _unix(arguments: _Arguments) -> UnixEndpoint:
    # No "lockfile": whether somebody listens is found out by connecting.
    mode = arguments.number("mode", 0o777, base=8)
    return UnixEndpoint(
        path=arguments.required("address"),
        mode=0o666 if mode is None else mode,
        user=arguments.text("user"),
        group=arguments.text("group"),
        backlog=arguments.number("backlog") or None,
        proxy_protocol=arguments.switch("proxyProtocol"),
    )


def _descriptor(arguments: _Arguments) -> DescriptorEndpoint:
    return DescriptorEndpoint(
        descriptor=arguments.required_number("fileno"),
        certificate=arguments.certificate(),
        proxy_protocol=arguments.switch("proxyProtocol"),
    )


def _systemd(arguments: _Arguments) -> SystemdEndpoint:
    index, name = arguments.number("index"), arguments.text("name")
    if (index is None) == (name is None):
        raise EndpointError("it needs either 'index' or 'name'")
    return SystemdEndpoint(
        index=index,
        name=name,
        certificate=arguments.certificate(),
        proxy_protocol=arguments.switch("proxyProtocol"),
    )


#: For each kind the names of its arguments, in the order in which they may come without a name; `|`
#: stands before those that need theirs, as Twisted does not know them.
_KINDS: Final[Mapping[str, tuple[str, Callable[[_Arguments], Endpoint]]]] = {
    "tcp": ("port interface backlog | ipv6Only proxyProtocol", _tcp),
    "tcp6": ("port interface backlog | ipv6Only proxyProtocol", _tcp6),
    "unix": ("address mode backlog lockfile | user group proxyProtocol", _unix),
    "ssl": (
        """port privateKey certKey sslmethod interface backlog extraCertChain dhParameters
        | ipv6Only proxyProtocol""",
        _ssl,
    ),
    "fd": ("fileno domain | privateKey certKey extraCertChain proxyProtocol", _descriptor),
    "systemd": ("domain index name | privateKey certKey extraCertChain proxyProtocol", _systemd),
}

#: What stands before another endpoint string.
_WRAPPER: Final = "haproxy"

_ACME: Final = (
    "Fairway does not fetch certificates. Let certbot, lego or the proxy in front do that, "
    "and name the files: ssl:443:privateKey=key.pem:certKey=chain.pem"
)
#: Kinds that Twisted has, by itself or through plugins, and what to do instead.
_ELSEWHERE: Final = {
    "le": _ACME,
    "lets": _ACME,
    "txsni": _ACME,
    "onion": "Fairway starts no Tor service. Let Tor forward to tcp:port=8000:interface=127.0.0.1",
    "stdio": "standard input is no place to listen",
}
