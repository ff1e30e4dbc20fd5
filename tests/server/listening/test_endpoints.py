"""Endpoint strings, as ``daphne --endpoint`` takes them."""

import pytest

from fairway.server.listening.endpoints import (
    DescriptorEndpoint,
    Endpoint,
    EndpointError,
    SystemdEndpoint,
    TCPEndpoint,
    UnixEndpoint,
    parse_endpoint,
)
from fairway.server.listening.tls import Certificate


@pytest.mark.row("2.1 --endpoint")
@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("tcp:8000", TCPEndpoint(host="0.0.0.0", port=8000)),
        ("tcp:port=8000:interface=127.0.0.1", TCPEndpoint(host="127.0.0.1", port=8000)),
        ("tcp:0:127.0.0.1:backlog=5", TCPEndpoint(host="127.0.0.1", port=0, backlog=5)),
        (r"tcp:port=8000:interface=\:\:1", TCPEndpoint(host="::1", port=8000)),
        (r"tcp:port=8000:interface=[\:\:1]", TCPEndpoint(host="::1", port=8000)),
        ("tcp6:8000", TCPEndpoint(host="::", port=8000)),
        (r"tcp6:8000:interface=\:\:1", TCPEndpoint(host="::1", port=8000)),
        ("unix:/run/site.sock", UnixEndpoint(path="/run/site.sock")),
        ("unix:address=/run/site.sock:mode=660", UnixEndpoint(path="/run/site.sock", mode=0o660)),
        ("unix:s:lockfile=0:backlog=7", UnixEndpoint(path="s", backlog=7)),
        (r"unix:/a\:b\=c\\d", UnixEndpoint(path=r"/a:b=c\d")),
        ("unix:address=a=b", UnixEndpoint(path="a=b")),
        (
            "unix:s:user=www-data:group=33",
            UnixEndpoint(path="s", user="www-data", group="33"),
        ),
        ("tcp6:8000:ipv6Only=on", TCPEndpoint(host="::", port=8000, ipv6_only=True)),
        ("tcp6:8000:ipv6Only=off", TCPEndpoint(host="::", port=8000)),
        (
            "tcp:8000:proxyProtocol=on",
            TCPEndpoint(host="0.0.0.0", port=8000, proxy_protocol=True),
        ),
        ("unix:s:proxyProtocol=on", UnixEndpoint(path="s", proxy_protocol=True)),
        ("fd:3:proxyProtocol=on", DescriptorEndpoint(descriptor=3, proxy_protocol=True)),
        ("haproxy:tcp:80", TCPEndpoint(host="0.0.0.0", port=80, proxy_protocol=True)),
        ("haproxy:unix:s:mode=660", UnixEndpoint(path="s", mode=0o660, proxy_protocol=True)),
        (
            "haproxy:ssl:443:privateKey=key.pem",
            TCPEndpoint(
                host="0.0.0.0",
                port=443,
                certificate=Certificate(certificate="key.pem", key="key.pem"),
                proxy_protocol=True,
            ),
        ),
        (
            "systemd:name=site:privateKey=key.pem:certKey=crt.pem:proxyProtocol=on",
            SystemdEndpoint(
                name="site",
                certificate=Certificate(certificate="crt.pem", key="key.pem"),
                proxy_protocol=True,
            ),
        ),
        (
            "fd:3:privateKey=key.pem",
            DescriptorEndpoint(
                descriptor=3, certificate=Certificate(certificate="key.pem", key="key.pem")
            ),
        ),
        ("fd:fileno=3", DescriptorEndpoint(descriptor=3)),
        ("fd:3", DescriptorEndpoint(descriptor=3)),
        ("systemd:domain=INET:index=0", SystemdEndpoint(index=0)),
        ("systemd:domain=UNIX:name=site.socket", SystemdEndpoint(name="site.socket")),
        (
            "ssl:443:privateKey=key.pem:certKey=crt.pem",
            TCPEndpoint(
                host="0.0.0.0",
                port=443,
                certificate=Certificate(certificate="crt.pem", key="key.pem"),
            ),
        ),
        (
            (
                "ssl:port=443:interface=127.0.0.1:privateKey=k.pem:extraCertChain=c.pem"
                ":dhParameters=d.pem:sslmethod=TLSv1_2_METHOD:backlog=9"
            ),
            TCPEndpoint(
                host="127.0.0.1",
                port=443,
                backlog=9,
                certificate=Certificate(
                    certificate="k.pem", key="k.pem", chain="c.pem", dh_parameters="d.pem"
                ),
            ),
        ),
        (
            "ssl:443",
            TCPEndpoint(
                host="0.0.0.0",
                port=443,
                certificate=Certificate(certificate="server.pem", key="server.pem"),
            ),
        ),
    ],
)
def test_understood(text: str, endpoint: Endpoint) -> None:
    """Arguments come in order or by name; what is left out is what it is in Twisted."""
    assert parse_endpoint(text) == endpoint


ACME = (
    "Fairway does not fetch certificates. Let certbot, lego or the proxy in front do that, "
    "and name the files: ssl:443:privateKey=key.pem:certKey=chain.pem"
)


@pytest.mark.row("2.1 --endpoint")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no kind '', only tcp, tcp6, unix, ssl, fd, systemd, haproxy"),
        ("http:80", "there is no kind 'http', only tcp, tcp6, unix, ssl, fd, systemd, haproxy"),
        ("tcp=80", "there is no kind '', only tcp, tcp6, unix, ssl, fd, systemd, haproxy"),
        ("tcp", "it has no 'port'"),
        ("tcp:port=", "it has no 'port'"),
        ("tcp:http", "'port' must be a number from 0 to 65535, not 'http'"),
        ("tcp:65536", "'port' must be a number from 0 to 65535, not '65536'"),
        ("tcp:-1", "'port' must be a number from 0 to 65535, not '-1'"),
        ("tcp:80:backlog=x", "'backlog' must be a number, not 'x'"),
        (
            "tcp:80:interfaces=a",
            "there is no 'interfaces', only port, interface, backlog, ipv6Only, proxyProtocol",
        ),
        ("tcp:80:port=80", "it says 'port' twice"),
        ("tcp:80:::1", "'1' is one argument too many"),
        ("unix:", "it has no 'address'"),
        ("unix:s:mode=888", "'mode' must be a number from 0 to 777, not '888'"),
        ("unix:s:mode=1777", "'mode' must be a number from 0 to 777, not '1777'"),
        ("fd:fileno=a", "'fileno' must be a number, not 'a'"),
        ("systemd:domain=INET", "it needs either 'index' or 'name'"),
        ("systemd:INET:0:a", "it needs either 'index' or 'name'"),
        (
            "ssl:443:sslmethod=SSLv3_METHOD",
            "'sslmethod' cannot be 'SSLv3_METHOD': the version is negotiated, from TLS 1.2 on",
        ),
        ("le:/certificates:tcp:443", ACME),
        ("lets:/certificates:tcp:443", ACME),
        ("txsni:/certificates:tcp:443", ACME),
        ("haproxy", "it wraps no other, as haproxy:tcp:80 does"),
        ("haproxy:", "it wraps no other, as haproxy:tcp:80 does"),
        ("haproxy:haproxy:tcp:80", "it wraps no other, as haproxy:tcp:80 does"),
        ("tcp:80:proxyProtocol=1", "'proxyProtocol' must be on or off, not '1'"),
        ("tcp6:80:ipv6Only=yes", "'ipv6Only' must be on or off, not 'yes'"),
        ("fd:3:certKey=c.pem", "'certKey' needs 'privateKey' beside it"),
        ("systemd:index=0:extraCertChain=c.pem", "'extraCertChain' needs 'privateKey' beside it"),
        (
            "onion:80",
            "Fairway starts no Tor service. Let Tor forward to tcp:port=8000:interface=127.0.0.1",
        ),
        ("stdio:", "standard input is no place to listen"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    """What cannot be listened on is refused with the string, the reason and what to do."""
    with pytest.raises(EndpointError) as caught:
        parse_endpoint(text)
    assert str(caught.value) == f"Cannot listen on {text!r}: {reason}."
