"""The figures of one server, taken from its registers when somebody looks."""

import sys
import time
from collections import defaultdict
from typing import Final

import fairway
from fairway.server.config import options
from fairway.server.context import Context
from fairway.server.listening.acceptor import DESCRIPTORS
from fairway.server.observing.counters import HELP
from fairway.server.observing.figures import Family, Labels, family, from_sources, single
from fairway.server.websocket.stream import WebSocketStream

if sys.platform != "win32":
    import resource

#: Close codes of RFC 6455 §7.4.1 and its registry, each counted by itself. The others, which any
#: client may make up, are counted by their range.
_REGISTERED: Final = range(1000, 1016)


def collect(context: Context) -> list[Family]:
    """What there is to know now; on the event loop's thread, or nearly so on another.

    Gauges have no label of the worker yet; see :func:`label_gauges`.
    """
    return [
        *_of_connections(context),
        *_of_requests(context),
        *_of_threads(context),
        *_of_loop(context),
        *_of_process(context),
        *from_sources(),
    ]


def _of_connections(context: Context) -> list[Family]:
    counters, admission = context.counters, context.admission
    refused = dict.fromkeys(limits(), 0) | dict(counters.refused)
    closed: defaultdict[tuple[str, ...], float] = defaultdict(float)
    for code, count in dict(counters.closed).items():
        closed[(str(code) if code in _REGISTERED else f"{code // 1000}xxx",)] += count
    return [
        single("fairway_connections_opened", "counter", HELP["connections"], counters.connections),
        single("fairway_connections", "gauge", "Open connections.", admission.connections),
        single("fairway_tls_failures", "counter", HELP["tls_failures"], counters.tls_failures),
        family(
            "fairway_refused",
            "counter",
            "What limits have refused, cut or closed, by the option that is the limit.",
            {(name,): count for name, count in sorted(refused.items())},
            "limit",
        ),
        single("fairway_websockets_opened", "counter", HELP["websockets"], counters.websockets),
        single("fairway_websockets_rejected", "counter", HELP["rejected"], counters.rejected),
        single(
            "fairway_websockets",
            "gauge",
            "WebSockets that are open or being opened.",
            admission.websockets,
        ),
        family(
            "fairway_websockets_closed",
            "counter",
            "WebSockets that have ended, by close code.",
            dict(sorted(closed.items())),
            "code",
        ),
    ]


def limits() -> list[str]:
    """The names under which refusals are counted: options that are limits, and the system's own."""
    return [*(option.name for option in options() if option.answer), DESCRIPTORS]


def _of_requests(context: Context) -> list[Family]:
    counters = context.counters
    open_now = [
        each
        for each in tuple(context.connections)
        if isinstance(each, WebSocketStream) and not each.ended
    ]
    found = [
        family(
            "fairway_requests",
            "counter",
            "HTTP requests that were answered, by method and class of the status.",
            {
                (method, f"{hundreds}xx"): count
                for (method, hundreds), count in sorted(dict(counters.requests).items())
            },
            "method",
            "status",
        ),
        family(
            "fairway_messages",
            "counter",
            "Messages of WebSockets, by direction.",
            {
                ("received",): counters.messages_received,
                ("sent",): counters.messages_sent,
            },
            "direction",
        ),
        family(
            "fairway_frames",
            "counter",
            "Frames of WebSockets, by direction: messages, their fragments, and control frames.",
            {
                ("received",): counters.messages_received
                + counters.others_received
                + sum(each.other_frames[0] for each in open_now),
                ("sent",): counters.messages_sent
                + counters.others_sent
                + sum(each.other_frames[1] for each in open_now),
            },
            "direction",
        ),
        family(
            "fairway_bytes",
            "counter",
            "Bytes of HTTP bodies, once the request is over, and of WebSockets' frames.",
            {
                ("http", "received"): counters.http_received,
                ("http", "sent"): counters.http_sent,
                ("websocket", "received"): counters.websocket_received
                + sum(each.received for each in open_now),
                ("websocket", "sent"): counters.websocket_sent
                + sum(each.sent for each in open_now),
            },
            "protocol",
            "direction",
        ),
        single(
            "fairway_tasks",
            "gauge",
            "Requests and WebSockets that the application is busy with.",
            len(context.tasks),
        ),
    ]
    if context.durations is not None:
        text = "How long HTTP requests took, from their head to the end of the response."
        found.append(context.durations.family("fairway_request_duration_seconds", text))
    return found


def _of_threads(context: Context) -> list[Family]:
    threads = context.threads
    return [
        family(
            "fairway_threads",
            "gauge",
            "Threads for sync code, and so database connections, by what they do.",
            {("busy",): threads.busy, ("idle",): threads.size - threads.busy},
            "state",
        ),
        single(
            "fairway_thread_waiting",
            "gauge",
            "Calls of sync code that wait for a thread.",
            threads.waiting,
        ),
        single(
            "fairway_thread_waits",
            "counter",
            "Calls of sync code that had to wait for a thread.",
            threads.waits,
        ),
        single(
            "fairway_thread_wait_seconds",
            "counter",
            "Seconds for which calls of sync code have waited for a thread.",
            threads.wait_seconds,
        ),
    ]


def _of_loop(context: Context) -> list[Family]:
    if context.lag is None:
        return []
    text = "How late the event loop was, sampled twice a second."
    return [context.lag.samples.family("fairway_event_loop_lag_seconds", text)]


def _of_process(context: Context) -> list[Family]:
    import platform  # noqa: PLC0415  a server that nobody asks for its figures starts without

    about = (fairway.__version__, platform.python_version(), type(context.loop).__module__)
    found = [
        single(
            "fairway_uptime_seconds",
            "gauge",
            "Seconds since the server was started.",
            context.time() - context.started_at,
        ),
        single(
            "fairway_ready",
            "gauge",
            "Whether new clients are welcome: 0 while the application starts and the server ends.",
            int(context.ready),
        ),
        single(
            "fairway_cpu_seconds",
            "counter",
            "Seconds of processor time that the process has used.",
            time.process_time(),
        ),
        family(
            "fairway_info",
            "gauge",
            "What runs here; always 1.",
            {about: 1},
            "version",
            "python",
            "loop",
        ),
    ]
    if sys.platform != "win32":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak *= 1 if sys.platform == "darwin" else 1024
        text = "The most memory that the process had so far."
        found.append(single("fairway_peak_memory_bytes", "gauge", text, peak))
    return found


def label_gauges(families: list[Family], worker: str) -> list[Family]:
    """The same with the worker's number as a label of each gauge: sums of gauges hide too much."""
    label: Labels = (("worker", worker),)
    return [
        each
        if each.kind != "gauge"
        else Family(
            each.name,
            each.kind,
            each.help,
            {(suffix, label + labels): value for (suffix, labels), value in each.samples.items()},
        )
        for each in families
    ]
