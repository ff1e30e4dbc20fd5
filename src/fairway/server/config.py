"""Every option of the server, in one place.

The command line (:mod:`fairway.server.cli`), the Django setting ``FAIRWAY = {...}`` and the
reference page in the documentation are all made from the fields of :class:`Config`.
"""

import dataclasses
import difflib
import logging
import os
import re
import typing
from collections.abc import Mapping
from typing import Any, Final

from fairway.server.listening.endpoints import EndpointError, parse_endpoint
from fairway.server.options import ConfigError, Option, check, check_header, describe, option
from fairway.server.workers.processors import worker_count, workers_in_environment
from fairway.wire.frames import RETRY_WINDOW

__all__ = ["EARLY", "Config", "ConfigError", "Option", "metrics_config", "options"]

KIB: Final = 1024
MIB: Final = 1024 * KIB
HOURS: Final = 3600.0
#: More workers than this are a slip of the keyboard, and would take the machine with them.
MOST_WORKERS: Final = 1000
#: Connections at the address of the metrics, where nobody but the operations team has business.
METRICS_CONNECTIONS: Final = 100


def _default_threads() -> int:
    """``ASGI_THREADS`` is what Daphne and asgiref's users know."""
    text = os.environ.get("ASGI_THREADS", "")
    return int(text) if text.isdecimal() and int(text) > 0 else 32


def _default_workers() -> int:
    wanted = workers_in_environment() or 0
    return wanted if wanted <= MOST_WORKERS else 0


#: Options that are needed before the project is loaded: they are none for the setting ``FAIRWAY``.
EARLY: Final = frozenset({"workers", "chdir", "drop_unread_output", "raise_open_files"})
#: Options that stand in headers, or name one.
_HEADERS: Final = (
    "server_name",
    "proxy_headers_host",
    "proxy_headers_port",
    "proxy_headers_scheme",
    "proxy_headers_prefix",
    "request_id_header",
)

_BIND, _LIMITS, _HTTP, _WEBSOCKET = "Where to listen", "How many at once", "HTTP", "WebSocket"
_HTTP2: Final = "HTTP/2"
_PROXY, _PROCESS, _SEEN, _LOG = "Behind a proxy", "Process", "Health and metrics", "Logging"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How the server behaves: typed, complete and never changed after it was made.

    Durations are seconds, sizes are bytes. A duration of 0 or less, and a size of 0, mean that
    there is no limit.

    Raises:
        ConfigError: A value has the wrong type or is out of range; the message names the option.
    """

    host: str | None = option(
        None, "-b", "--bind", group=_BIND, metavar="HOST",
        help="Address to listen on, such as 0.0.0.0, or :: for IPv6 and IPv4 together; 127.0.0.1 "
        "if neither a socket nor a descriptor is named.",
    )  # fmt: skip
    port: int | None = option(
        None, "-p", "--port", group=_BIND, metavar="PORT", minimum=0, maximum=65535,
        help="Port to listen on, 8000 unless named; 0 takes any free one.",
    )  # fmt: skip
    ipv6_only: bool = option(
        False, "--ipv6-only", group=_BIND,
        help="Take only IPv6 where :: is listened on, and so leave IPv4 to others.",
    )  # fmt: skip
    unix_socket: str | None = option(
        None, "-u", "--unix-socket", group=_BIND, metavar="PATH",
        help="Listen on a Unix socket at this path, beside or instead of a port.",
    )  # fmt: skip
    unix_socket_mode: str = option(
        "666", "--unix-socket-mode", group=_BIND, metavar="MODE",
        help="The permissions of that socket, in octal digits. Who may write may connect.",
    )  # fmt: skip
    unix_socket_user: str | None = option(
        None, "--unix-socket-user", group=_BIND, metavar="USER",
        help="Its owner, a name or a number. Only root may give it away.",
    )  # fmt: skip
    unix_socket_group: str | None = option(
        None, "--unix-socket-group", group=_BIND, metavar="GROUP",
        help="Its group, a name or a number, such as that of the proxy in front.",
    )  # fmt: skip
    file_descriptor: int | None = option(
        None, "--fd", group=_BIND, metavar="N", minimum=0, maximum=2**31 - 1,
        help="Listen on a socket that was inherited as this file descriptor.",
    )  # fmt: skip
    endpoints: tuple[str, ...] = option(
        (), "-e", "--endpoint", group=_BIND, metavar="ENDPOINT", repeated=True,
        help="Listen on an endpoint, such as unix:/run/site.sock:mode=660, systemd:domain=INET:"
        "index=0 or ssl:443:privateKey=key.pem:certKey=chain.pem; may be given several times.",
    )  # fmt: skip
    tls_certificate: str | None = option(
        None, "--tls-certificate", group=_BIND, metavar="PATH",
        help="Speak TLS where --bind, --port and --fd listen, with the certificate (and those "
        "behind it) in this PEM file.",
    )  # fmt: skip
    tls_key: str | None = option(
        None, "--tls-key", group=_BIND, metavar="PATH",
        help="The PEM file with the certificate's private key, if it is another one.",
    )  # fmt: skip
    tls_key_password: str | None = option(
        None, "--tls-key-password", group=_BIND, metavar="PASSWORD",
        help="What the private key is encrypted with. Other users of the machine can read command "
        "lines: the setting is the better place.",
    )  # fmt: skip
    tls_minimum_version: str = option(
        "1.2", "--tls-minimum-version", group=_BIND, choices=("1.2", "1.3"),
        help="The oldest version of TLS that is spoken, here and on ssl: endpoints.",
    )  # fmt: skip
    tls_ciphers: str | None = option(
        None, "--tls-ciphers", group=_BIND, metavar="CIPHERS",
        help="The cipher suites for TLS 1.2, in OpenSSL's words; unless named, those of Python.",
    )  # fmt: skip
    tls_client_ca: str | None = option(
        None, "--tls-client-ca", group=_BIND, metavar="PATH",
        help="The PEM file with the authorities that sign certificates of clients.",
    )  # fmt: skip
    tls_client_certificates: str = option(
        "none", "--tls-client-certificates", group=_BIND, choices=("none", "optional", "required"),
        help="Whether clients show a certificate; one that tls_client_ca did not sign is refused.",
    )  # fmt: skip
    backlog: int = option(
        2048, "--backlog", group=_BIND, unit="connections", minimum=1, maximum=2**31 - 1,
        help="Connections that may wait to be accepted.",
    )  # fmt: skip

    max_connections: int = option(
        65536, "--max-connections", group=_LIMITS, unit="connections", minimum=0,
        answer="503",
        help="Most connections at once, in each worker; beyond it 503, before anything is read or "
        "encrypted.",
    )  # fmt: skip
    max_connections_per_client: int = option(
        0, "--max-connections-per-client", group=_LIMITS, unit="connections", minimum=0,
        answer="429",
        help="Most connections from one address at once (in IPv6 from one /64), in each worker; "
        "beyond it 429. Not for trusted proxies and Unix sockets. Off by default: a proxy that is "
        "not named, or a whole office, may be one address.",
    )  # fmt: skip
    max_websockets: int = option(
        0, "--max-websockets", group=_LIMITS, unit="WebSockets", minimum=0,
        answer="503",
        help="Most WebSockets at once, in each worker; beyond it 503.",
    )  # fmt: skip
    websocket_max_handshakes: float = option(
        0.0, "--websocket-max-handshakes", group=_LIMITS, unit="per second", minimum=0,
        answer="503",
        help="WebSockets that may be opened in a second, in each worker; beyond it 503.",
    )  # fmt: skip
    websocket_max_handshakes_per_client: float = option(
        0.0, "--websocket-max-handshakes-per-client", group=_LIMITS, unit="per second", minimum=0,
        answer="429",
        help="The same for one address (in IPv6 one /64), which may be that from a trusted "
        "proxy's header; beyond it 429.",
    )  # fmt: skip
    max_event_loop_lag: float = option(
        0.0, "--max-event-loop-lag", group=_LIMITS, unit="seconds",
        answer="503",
        help="While the event loop of a worker is later than this, new connections and WebSockets "
        "get 503, so that those that are there are served. Off by default.",
    )  # fmt: skip

    http_timeout: float | None = option(
        None, "-t", "--http-timeout", group=_HTTP, unit="seconds",
        answer="503",
        help="How long the application may take for a response; then 503, or the end of a "
        "response that has begun.",
    )  # fmt: skip
    header_timeout: float = option(
        20.0, "--header-timeout", group=_HTTP, unit="seconds",
        answer="408",
        help="How long a client may take to complete its request line and headers; then 408.",
    )  # fmt: skip
    keep_alive_timeout: float = option(
        75.0, "--keep-alive-timeout", group=_HTTP, unit="seconds",
        answer="the connection is closed",
        help="How long an idle connection is kept for a next request.",
    )  # fmt: skip
    require_host: bool = option(
        True, "--require-host", group=_HTTP,
        help="Answer 400 to HTTP/1.1 requests without a Host header, as the standard asks. Some "
        "health checks send none.",
    )  # fmt: skip
    max_request_line: int = option(
        8 * KIB, "--max-request-line", group=_HTTP, unit="bytes", minimum=0,
        answer="414",
        help="Longest request line; beyond it 414.",
    )  # fmt: skip
    max_header_size: int = option(
        64 * KIB, "--max-header-size", group=_HTTP, unit="bytes", minimum=0,
        answer="431",
        help="Most bytes in all header fields of a request together; beyond it 431.",
    )  # fmt: skip
    max_header_count: int = option(
        128, "--max-header-count", group=_HTTP, unit="fields", minimum=0,
        answer="431",
        help="Most header fields in a request; beyond it 431.",
    )  # fmt: skip
    max_body_size: int = option(
        0, "--max-body-size", group=_HTTP, unit="bytes", minimum=0,
        answer="413",
        help="Largest request body; beyond it 413. Off by default: Django has limits of its own.",
    )  # fmt: skip
    max_chunk_extensions: int = option(
        16 * KIB, "--max-chunk-extensions", group=_HTTP, unit="bytes", minimum=0,
        answer="400",
        help="Most bytes by which the extensions of a body's chunks may be ahead of its data; "
        "beyond it 400.",
    )  # fmt: skip
    body_timeout: float = option(
        6 * HOURS, "--body-timeout", group=_HTTP, unit="seconds",
        answer="408",
        help="How long a client may take for the body of a request; then 408. Not counted is the "
        "time in which the application does not take what there is.",
    )  # fmt: skip
    min_upload_rate: int = option(
        100, "--min-upload-rate", group=_HTTP, unit="bytes per second", minimum=0,
        answer="408",
        help="How fast a request's body has to come, in each half minute in which the server waits "
        "for it; then 408.",
    )  # fmt: skip
    min_download_rate: int = option(
        100, "--min-download-rate", group=_HTTP, unit="bytes per second", minimum=0,
        answer="the connection is cut",
        help="How fast a client has to read what waits for it, in each half minute in which more "
        "waits than should; then the connection is cut.",
    )  # fmt: skip
    half_closed_timeout: float = option(
        5.0, "--half-closed-timeout", group=_HTTP, unit="seconds",
        answer="the connection is cut",
        help="How long a client that sends no more is still given its answer. It has mostly gone, "
        "and the application learns of that so much later.",
    )  # fmt: skip
    max_requests_per_connection: int = option(
        10_000, "--max-requests-per-connection", group=_HTTP, unit="requests", minimum=0,
        answer="Connection: close",
        help="The response to this many requests on a connection is its last.",
    )  # fmt: skip
    server_name: str = option(
        "fairway", "-s", "--server-name", group=_HTTP, metavar="NAME",
        help="What the Server header says; empty to send none.",
    )  # fmt: skip

    http2: str = option(
        "auto", "--http2", group=_HTTP2, choices=("auto", "on", "off"),
        help="Speak HTTP/2 with clients that ask for it over TLS: auto if the package h2 is "
        "installed, on to insist on that.",
    )  # fmt: skip
    http2_cleartext: bool = option(
        False, "--http2-cleartext", group=_HTTP2,
        help="Speak HTTP/2 without TLS, too, with clients that begin with it, such as a proxy.",
    )  # fmt: skip
    http2_max_streams: int = option(
        100, "--http2-max-streams", group=_HTTP2, unit="streams", minimum=0,
        answer="REFUSED_STREAM",
        help="Requests and WebSockets that one connection may carry at once; beyond it the stream "
        "is refused, and clients try again.",
    )  # fmt: skip
    http2_max_resets: int = option(
        500, "--http2-max-resets", group=_HTTP2, unit="streams", minimum=0,
        answer="ENHANCE_YOUR_CALM",
        help="Streams that may end early because of the client within ten seconds; beyond it the "
        "connection is ended.",
    )  # fmt: skip
    http2_max_control_frames: int = option(
        2000, "--http2-max-control-frames", group=_HTTP2, unit="frames", minimum=0,
        answer="ENHANCE_YOUR_CALM",
        help="Frames that carry nothing, such as pings and settings, within ten seconds; beyond it "
        "the connection is ended.",
    )  # fmt: skip
    http2_stall_timeout: float = option(
        60.0, "--http2-stall-timeout", group=_HTTP2, unit="seconds",
        answer="CANCEL",
        help="How long a client may leave no room for a response that waits to be sent; then the "
        "stream is reset, or the connection cut if it reads nothing at all.",
    )  # fmt: skip
    http2_stream_window: int = option(
        256 * KIB, "--http2-stream-window", group=_HTTP2, unit="bytes", minimum=16 * KIB,
        maximum=2**31 - 1,
        help="Bytes of a request's body that may be on their way before the application takes "
        "them. More makes uploads from far away faster.",
    )  # fmt: skip
    http2_connection_window: int = option(
        1 * MIB, "--http2-connection-window", group=_HTTP2, unit="bytes", minimum=64 * KIB,
        maximum=2**31 - 1,
        help="The same for all requests of a connection together.",
    )  # fmt: skip

    ping_interval: float = option(
        20.0, "--ping-interval", group=_WEBSOCKET, unit="seconds",
        help="A WebSocket that was silent this long gets a Ping.",
    )  # fmt: skip
    ping_timeout: float = option(
        30.0, "--ping-timeout", group=_WEBSOCKET, unit="seconds",
        answer="the connection is cut (1006)",
        help="A WebSocket that does not answer a Ping this long is dropped (1006).",
    )  # fmt: skip
    websocket_timeout: float = option(
        24 * HOURS, "--websocket-timeout", "--websocket_timeout", group=_WEBSOCKET, unit="seconds",
        answer="close 1000",
        help="How long a WebSocket may stay open; then it is closed with 1000. Each one gets up to "
        "a tenth less, so that those opened together do not end together.",
    )  # fmt: skip
    websocket_connect_timeout: float = option(
        5.0, "--websocket-connect-timeout", "--websocket_connect_timeout", group=_WEBSOCKET,
        unit="seconds",
        answer="503",
        help="How long the application may take to accept or refuse a WebSocket; then 503.",
    )  # fmt: skip
    websocket_close_timeout: float = option(
        5.0, "--websocket-close-timeout", group=_WEBSOCKET, unit="seconds",
        answer="the connection is cut",
        help="How long a client may take to answer a Close; then the connection is cut.",
    )  # fmt: skip
    websocket_max_message_size: int = option(
        1 * MIB, "--websocket-max-message-size", group=_WEBSOCKET, unit="bytes", minimum=0,
        answer="close 1009",
        help="Largest message that a client may send; beyond it close code 1009.",
    )  # fmt: skip
    websocket_max_frame_size: int = option(
        1 * MIB, "--websocket-max-frame-size", group=_WEBSOCKET, unit="bytes", minimum=0,
        answer="close 1009",
        help="Largest frame that a client may send; beyond it close code 1009.",
    )  # fmt: skip
    websocket_write_timeout: float = option(
        60.0, "--websocket-write-timeout", group=_WEBSOCKET, unit="seconds",
        answer="the connection is cut (1006)",
        help="How long a client may read nothing while more than write_buffer_size waits for it; "
        "then it is dropped (1006).",
    )  # fmt: skip
    websocket_message_rate: int = option(
        0, "--websocket-message-rate", group=_WEBSOCKET, unit="messages per second", minimum=0,
        answer="close 1008",
        help="Messages that a client may send in each second; beyond it close code 1008. Off by "
        "default: a client that is too fast for the application is made to wait anyway.",
    )  # fmt: skip
    websocket_message_burst: int = option(
        1000, "--websocket-message-burst", group=_WEBSOCKET, unit="messages", minimum=1,
        help="Messages that may come at once before websocket_message_rate applies.",
    )  # fmt: skip
    websocket_byte_rate: int = option(
        0, "--websocket-byte-rate", group=_WEBSOCKET, unit="bytes per second", minimum=0,
        answer="close 1008",
        help="Bytes that a client may send in each second, as they come over the wire; beyond it "
        "close code 1008. Off by default, too.",
    )  # fmt: skip
    websocket_byte_burst: int = option(
        4 * MIB, "--websocket-byte-burst", group=_WEBSOCKET, unit="bytes", minimum=1,
        help="Bytes that may come at once before websocket_byte_rate applies.",
    )  # fmt: skip
    websocket_control_rate: int = option(
        100, "--websocket-control-rate", group=_WEBSOCKET, unit="frames per second", minimum=0,
        answer="close 1008",
        help="Pings and Pongs that a client may send in each second, ten times as many at once; "
        "beyond it close code 1008.",
    )  # fmt: skip
    websocket_retry_window: float = option(
        RETRY_WINDOW, "--websocket-retry-window", group=_WEBSOCKET, unit="seconds",
        help="Over how long clients are asked to spread their coming back: closing because of a "
        "restart (1012), of overload (1013) or of age, the reason ends with a moment within it, "
        "such as retry=2.5. 0 asks for nothing.",
    )  # fmt: skip
    websocket_compression: bool = option(
        True, "--websocket-compression", group=_WEBSOCKET,
        help="Compress messages for clients that offer permessage-deflate.",
    )  # fmt: skip
    websocket_compression_threshold: int = option(
        1 * KIB, "--websocket-compression-threshold", group=_WEBSOCKET, unit="bytes", minimum=0,
        help="Smaller messages are sent as they are.",
    )  # fmt: skip
    websocket_compression_level: int = option(
        1, "--websocket-compression-level", group=_WEBSOCKET, metavar="1-9", minimum=1, maximum=9,
        help="From fast to small.",
    )  # fmt: skip
    websocket_compression_memory_level: int = option(
        5, "--websocket-compression-memory-level", group=_WEBSOCKET, metavar="1-9", minimum=1,
        maximum=9,
        help="How much memory a compressor takes beside its window.",
    )  # fmt: skip
    websocket_server_window_bits: int = option(
        15, "--websocket-server-window-bits", group=_WEBSOCKET, metavar="8-15", minimum=8,
        maximum=15,
        help="Largest window for compressing, as a power of two in bytes.",
    )  # fmt: skip
    websocket_client_window_bits: int = option(
        15, "--websocket-client-window-bits", group=_WEBSOCKET, metavar="8-15", minimum=8,
        maximum=15,
        help="Largest window that clients are asked to compress with.",
    )  # fmt: skip
    websocket_server_takeover: bool = option(
        False, "--websocket-server-takeover", group=_WEBSOCKET,
        help="Compress each message with the help of those before it. That makes them smaller, "
        "takes memory for each client, and compresses what goes to a group for each anew.",
    )  # fmt: skip
    websocket_client_takeover: bool = option(
        False, "--websocket-client-takeover", group=_WEBSOCKET,
        help="Let clients do the same, which takes up to a window of memory for each.",
    )  # fmt: skip
    application_close_timeout: float = option(
        10.0, "--application-close-timeout", group=_WEBSOCKET, unit="seconds",
        answer="the application is cancelled",
        help="How long the application may go on after its client has gone; then it is cancelled "
        "and the log shows where it hung.",
    )  # fmt: skip

    root_path: str = option(
        "", "--root-path", group=_PROXY, metavar="PATH",
        help="The path under which the application is mounted (ASGI root_path), such as /app.",
    )  # fmt: skip
    proxy_headers: bool = option(
        False, "--proxy-headers", group=_PROXY,
        help="Take the client's address and scheme from the headers of a trusted proxy.",
    )  # fmt: skip
    proxy_headers_kind: str = option(
        "x-forwarded", "--proxy-headers-kind", group=_PROXY, choices=("x-forwarded", "forwarded"),
        help="Which headers those are: X-Forwarded-For and its kin, or Forwarded (RFC 7239). The "
        "other kind is ignored.",
    )  # fmt: skip
    proxy_headers_host: str = option(
        "X-Forwarded-For", "--proxy-headers-host", group=_PROXY, metavar="HEADER",
        help="The header that names the client's address.",
    )  # fmt: skip
    proxy_headers_port: str = option(
        "X-Forwarded-Port", "--proxy-headers-port", group=_PROXY, metavar="HEADER",
        help="The header that names the client's port; empty to read none.",
    )  # fmt: skip
    proxy_headers_scheme: str = option(
        "X-Forwarded-Proto", "--proxy-headers-scheme", group=_PROXY, metavar="HEADER",
        help="The header that names the scheme, http or https; empty to read none.",
    )  # fmt: skip
    proxy_headers_prefix: str = option(
        "", "--proxy-headers-prefix", group=_PROXY, metavar="HEADER",
        help="The header, such as X-Forwarded-Prefix, that names the path under which the proxy "
        "has mounted the application, for both kinds; empty to read none.",
    )  # fmt: skip
    trusted_proxies: tuple[str, ...] = option(
        ("127.0.0.0/8", "::1"), "--trusted-proxies", group=_PROXY, metavar="NETWORKS",
        help="Addresses or networks, separated by commas, whose proxy headers and PROXY protocol "
        "are believed; * for all. A Unix socket is trusted.",
    )  # fmt: skip
    proxy_protocol: bool = option(
        False, "--proxy-protocol", group=_PROXY,
        help="Expect the PROXY protocol, version 1 or 2, at the beginning of every connection to "
        "what --bind, --port, --fd and --unix-socket name, and refuse connections without it.",
    )  # fmt: skip

    workers: int = option(
        _default_workers(), "-w", "--workers", group=_PROCESS, unit="processes", minimum=0,
        maximum=MOST_WORKERS, parse=worker_count,
        help="Processes that serve, started and replaced by one that does not; auto for one for "
        "each processor that this process may use, a container's quota considered; 0 serves in "
        "this one. SIGHUP replaces them, one after the other. For the command line, or the "
        "environment variable WEB_CONCURRENCY.",
    )  # fmt: skip
    threads: int = option(
        _default_threads(), "--threads", group=_PROCESS, unit="threads", minimum=1,
        help="Threads that run sync code, and so database connections, at once. The environment "
        "variable ASGI_THREADS sets the default.",
    )  # fmt: skip
    stream_threads: int = option(
        0, "--stream-threads", group=_PROCESS, unit="threads", minimum=0,
        help="Of these threads, how many may be in sync iterators of Django's streaming responses "
        "at once, so that iterators that wait leave some for everything else; 0 for half of them.",
    )  # fmt: skip
    graceful_timeout: float = option(
        15.0, "--graceful-timeout", group=_PROCESS, unit="seconds",
        help="How long requests and WebSockets may take to end after SIGTERM.",
    )  # fmt: skip
    drain_delay: float = option(
        0.0, "--drain-delay", group=_PROCESS, unit="seconds",
        help="How long to go on serving after SIGTERM, no longer ready, so that a load balancer "
        "looks elsewhere before nobody listens any more; before graceful_timeout begins.",
    )  # fmt: skip
    drain_window: float = option(
        0.0, "--drain-window", group=_PROCESS, unit="seconds",
        help="Over how long the goodbyes to WebSockets are spread at the end, so that their "
        "clients do not all come back in one moment; a part of graceful_timeout.",
    )  # fmt: skip
    worker_timeout: float = option(
        60.0, "--worker-timeout", group=_PROCESS, unit="seconds",
        help="How long the event loop of a worker (-w) may be stuck; then the worker is ended, "
        "with the stacks of its threads in the log, and another one started.",
    )  # fmt: skip
    worker_max_requests: int = option(
        0, "--worker-max-requests", group=_PROCESS, unit="requests", minimum=0,
        help="Requests and WebSockets after which a worker is replaced, gracefully; 0 for never.",
    )  # fmt: skip
    worker_max_age: float = option(
        0.0, "--worker-max-age", group=_PROCESS, unit="seconds",
        help="Age at which a worker is replaced, gracefully; 0 for never.",
    )  # fmt: skip
    worker_max_memory: int = option(
        0, "--worker-max-memory", group=_PROCESS, unit="bytes", minimum=0,
        help="Resident memory with which a worker is replaced, gracefully; 0 for never.",
    )  # fmt: skip
    worker_jitter: int = option(
        10, "--worker-jitter", group=_PROCESS, unit="percent", minimum=0, maximum=100,
        help="By how much of itself worker_max_requests and worker_max_age are raised at most, "
        "for each worker another part, so that they are not all replaced at once.",
    )  # fmt: skip
    chdir: str | None = option(
        None, "--chdir", group=_PROCESS, metavar="DIRECTORY",
        help="Work in this directory, where the project is. Each worker goes there anew, so where "
        "it is a link, SIGHUP brings the code that it leads to then. For the command line.",
    )  # fmt: skip
    drop_unread_output: bool = option(
        True, "--drop-unread-output", group=_PROCESS,
        help="Drop lines of standard output and standard error, and say how many, while a pipe "
        "that they lead to is full and was not read for a second; else whoever writes waits, and "
        "with it every client. For the command line.",
    )  # fmt: skip
    raise_open_files: bool = option(
        True, "--raise-open-files", group=_PROCESS,
        help="Raise the limit of open files (ulimit -n) to what the system allows, for the server "
        "and what it starts, as each connection takes one. For the command line.",
    )  # fmt: skip
    write_buffer_size: int = option(
        64 * KIB, "--write-buffer-size", group=_PROCESS, unit="bytes", minimum=1,
        help="Bytes that may wait for a slow reader before send() waits too.",
    )  # fmt: skip
    lifespan: str = option(
        "auto", "--lifespan", group=_PROCESS, choices=("auto", "on", "off"),
        help="Whether to run the ASGI lifespan protocol: auto goes on without an application that "
        "does not know it.",
    )  # fmt: skip
    loop: str = option(
        "auto", "--loop", group=_PROCESS, choices=("auto", "uvloop", "asyncio"),
        help="The event loop; auto takes uvloop where it is installed.",
    )  # fmt: skip

    health_path: str = option(
        "", "--health-path", group=_SEEN, metavar="PREFIX",
        help="Answer PREFIX/health and PREFIX/ready without the application, such as /-/health and "
        "/-/ready for the prefix /-. Off by default.",
    )  # fmt: skip
    metrics: str | None = option(
        None, "--metrics", group=_SEEN, metavar="ADDRESS",
        help="Serve metrics for Prometheus, and /-/health and /-/ready, at an address of their "
        "own, such as 127.0.0.1:9100 or an endpoint like unix:/run/metrics.sock.",
    )  # fmt: skip
    opentelemetry: bool = option(
        False, "--opentelemetry", group=_SEEN,
        help="Report the same figures, and a span for each request and each opening of a "
        "WebSocket, through OpenTelemetry, which has to be installed and set up.",
    )  # fmt: skip
    request_ids: str = option(
        "off", "--request-ids", group=_SEEN, choices=("off", "make", "proxy"),
        help="make: give each request an identifier, for the logs and the application; proxy: take "
        "that of a trusted proxy's header, if there is one.",
    )  # fmt: skip
    request_id_header: str = option(
        "X-Request-ID", "--request-id-header", group=_SEEN, metavar="HEADER",
        help="The header with the request's identifier, in requests of a proxy and in responses.",
    )  # fmt: skip
    echo_request_id: bool = option(
        False, "--echo-request-id", group=_SEEN,
        help="Send the request's identifier to the client, too.",
    )  # fmt: skip

    verbosity: int = option(
        1, "-v", "--verbosity", group=_LOG, metavar="0-3", minimum=0,
        help="0 warnings, 1 also what happens, 2 also details, 3 also asyncio's debug mode.",
    )  # fmt: skip
    access_log: str | None = option(
        None, "--access-log", group=_LOG, metavar="PATH",
        help="Where the access log goes: a file, or - for standard output, which is also the "
        "default unless verbosity is 0.",
    )  # fmt: skip
    access_log_format: str = option(
        "common", "--access-log-format", group=_LOG,
        choices=("common", "combined", "extended", "django", "json"),
        help="common: the common log format; combined: with referer and user agent, too; extended: "
        "with duration, bytes received and sent, and request identifier behind them; django: lines "
        "as runserver prints them; json: an object on each line.",
    )  # fmt: skip
    log_format: str = option(
        "text", "--log-format", group=_LOG, choices=("text", "json"),
        help="text: log records as log_fmt says; json: an object on each line.",
    )  # fmt: skip
    log_fmt: str = option(
        "%(asctime)-15s %(levelname)-8s %(message)s", "--log-fmt", group=_LOG, metavar="FORMAT",
        help="The format of log records, in the words of Python's logging.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        for known in options():
            check(known, getattr(self, known.name))
        for name in _HEADERS:
            check_header(name, getattr(self, name))
        if not _is_mode(self.unix_socket_mode):
            raise ConfigError(
                "unix_socket_mode must be octal digits from 0 to 777, such as '660', "
                f"not {self.unix_socket_mode!r}."
            )
        if self.health_path and not self.health_path.startswith("/"):
            raise ConfigError(
                f"health_path must begin with a slash, as /- does, not {self.health_path!r}."
            )
        try:  # a field that does not exist is found only with a record, and then with each of them
            logging.Formatter(self.log_fmt).format(logging.makeLogRecord({}))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"log_fmt is no format for log records: {error}.") from None
        if self.chdir is not None and not os.path.isabs(self.chdir):
            raise ConfigError(f"chdir must be an absolute path, not {self.chdir!r}.")
        if 0 < self.graceful_timeout <= self.drain_window:
            raise ConfigError(
                f"drain_window ({self.drain_window:g}) must be shorter than graceful_timeout "
                f"({self.graceful_timeout:g}), of which it is a part."
            )
        if self.metrics is not None:
            metrics_config(self.metrics)
        for text in self.endpoints:
            try:
                parse_endpoint(text)
            except EndpointError as error:
                raise ConfigError(f"endpoints: {error}") from None

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Config":
        """A configuration from names and values, such as the ``FAIRWAY`` setting holds.

        Raises:
            ConfigError: A name is unknown (the message suggests the nearest) or a value is wrong.
        """
        known = {each.name: each for each in options()}
        values: dict[str, Any] = {}
        for name, value in mapping.items():
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise ConfigError(f"There is no option {name!r}.{hint}")
            values[name] = tuple(value) if isinstance(value, list) else value
        return cls(**values)

    def replace(self, **changes: Any) -> "Config":
        """This configuration with some options changed."""
        return dataclasses.replace(self, **changes)


def _is_mode(digits: str) -> bool:
    return re.fullmatch("0?[0-7]{1,3}", digits) is not None


def options() -> tuple[Option, ...]:
    """Every option, in the order in which ``--help`` and the reference list them."""
    global _options  # noqa: PLW0603  made on first use, when Config exists
    if not _options:
        hints = typing.get_type_hints(Config)
        _options = tuple(describe(field, hints[field.name]) for field in dataclasses.fields(Config))
    return _options


_options: tuple[Option, ...] = ()


def metrics_config(address: str) -> Config:
    """How the server for metrics and health is set up.

    Args:
        address: ``host:port``, ``[IPv6 address]:port``, or an endpoint such as
            ``unix:/run/metrics.sock``.

    Raises:
        ConfigError: It is neither.
    """
    host, colon, port = address.rpartition(":")
    common = Config(
        lifespan="off",
        workers=0,
        threads=1,
        max_connections=METRICS_CONNECTIONS,
        max_body_size=64 * 1024,
        graceful_timeout=1.0,
        verbosity=0,
    )
    named = host.startswith("[") or ":" not in host
    if colon and named and port.isdecimal() and host not in ("tcp", "tcp6", "fd"):
        try:
            return common.replace(host=host.strip("[]"), port=int(port))
        except ConfigError as error:
            raise ConfigError(f"metrics: {error}") from None
    if ":" not in address:
        raise ConfigError(
            f"metrics: {address!r} has no port, as 127.0.0.1:9100 has, and is no endpoint, such as "
            "unix:/run/metrics.sock."
        )
    try:
        return common.replace(endpoints=(address,))
    except ConfigError as error:
        raise ConfigError(str(error).replace("endpoints", "metrics", 1)) from None
