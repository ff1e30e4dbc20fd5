"""The figures and spans of a server through OpenTelemetry, where that is installed.

Where they go to is set up as for any program: by ``opentelemetry-instrument``, or by the project in
code. Names of spans and attributes follow the conventions for HTTP servers, see
https://opentelemetry.io/docs/specs/semconv/http/http-spans/.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import metrics, propagate, trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

import fairway
from fairway._types import ASGIApplication, Event, Headers, Receive, Scope, Send
from fairway.server.observing.figures import Family

_SCOPE: Final = "fairway.server"


class _HeaderGetter(Getter[Scope]):
    """Reads what propagators look for, such as ``traceparent``, in a scope's headers."""

    def get(self, carrier: Scope, key: str) -> list[str] | None:
        name = key.lower().encode("latin-1")
        found = [value.decode("latin-1") for field, value in carrier["headers"] if field == name]
        return found or None

    def keys(self, carrier: Scope) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier["headers"]]


_GETTER: Final = _HeaderGetter()


class Telemetry:
    """Traces what an application does, and reports figures.

    A span covers an HTTP request, or the opening of a WebSocket: that ends with the answer to the
    handshake, while the WebSocket may live for days.

    Args:
        collect: Brings all figures as they are now, on any thread.
        worker: Tells the number of this worker, an attribute of each gauge.
    """

    def __init__(self, collect: Callable[[], list[Family]], worker: Callable[[], str]) -> None:
        self._collect = collect
        self._worker = worker
        self._tracer = trace.get_tracer(_SCOPE, fairway.__version__)
        #: Spans of WebSockets that are being opened, by the identity of their headers, which scope
        #: and request share: to wrap ``send`` would close a WebSocket's short ways.
        self._opening: dict[int, Span] = {}

    # ------------------------------------------------------------------ spans

    def before(self, application: ASGIApplication) -> ASGIApplication:
        """An application whose requests have spans."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self._trace_request(application, scope, receive, send)
            elif scope["type"] == "websocket":
                await self._trace_websocket(application, scope, receive, send)
            else:
                await application(scope, receive, send)

        return traced

    def _begin(self, scope: Scope, method: str) -> tuple[Span, object]:
        """A span whose parent is whoever the headers name; it is current until detached."""
        parent = propagate.extract(scope, getter=_GETTER)
        span = self._tracer.start_span(
            method, parent, kind=SpanKind.SERVER, attributes=_attributes(scope, method)
        )
        return span, otel_context.attach(trace.set_span_in_context(span, parent))

    async def _trace_request(
        self, application: ASGIApplication, scope: Scope, receive: Receive, send: Send
    ) -> None:
        span, token = self._begin(scope, scope["method"])

        async def watch(event: Event) -> None:
            if event["type"] == "http.response.start":
                _set_status(span, event["status"])
            await send(event)

        try:
            await application(scope, receive, watch)
        except BaseException as error:
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            otel_context.detach(token)  # type: ignore[arg-type]  # what attach() has returned
            span.end()

    async def _trace_websocket(
        self, application: ASGIApplication, scope: Scope, receive: Receive, send: Send
    ) -> None:
        span, token = self._begin(scope, scope.get("method", "GET"))
        key = id(scope["headers"])
        self._opening[key] = span
        try:
            await application(scope, receive, send)
        finally:
            otel_context.detach(token)  # type: ignore[arg-type]  # as above
            if self._opening.pop(key, None) is not None:
                span.end()  # neither accepted nor refused, which the server does now

    def answer(self, headers: Headers, status: int) -> None:
        """The opening of a WebSocket was answered.

        Args:
            headers: Those of the request, the same object as in the scope.
            status: 101 (200 over HTTP/2), or that of the refusal; 0 if the client has gone.
        """
        span = self._opening.pop(id(headers), None)
        if span is not None:
            if status:
                _set_status(span, status)
            span.end()

    # ------------------------------------------------------------------ figures

    def report(self) -> None:
        """Offer all figures that there are now to whoever is set up to export them."""
        meter = metrics.get_meter(_SCOPE, fairway.__version__)
        for family in self._collect():
            if family.kind == "gauge":
                meter.create_observable_gauge(
                    family.name, [self._observer(family.name, "")], description=family.help
                )
                continue
            # There is no histogram that is observed: its sum and its count are.
            suffixes = ["_sum", "_count"] if family.kind == "histogram" else [""]
            for suffix in suffixes:
                meter.create_observable_counter(
                    f"{family.name}{suffix}",
                    [self._observer(family.name, suffix)],
                    description=family.help,
                )

    def _observer(
        self, name: str, suffix: str
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Sequence[Observation]:
            return [
                Observation(value, self._with_worker(family, dict(labels)))
                for family in self._collect()
                if family.name == name
                for (key, labels), value in family.samples.items()
                if key == suffix
            ]

        return observe

    def _with_worker(self, family: Family, labels: dict[str, str]) -> dict[str, str]:
        return labels | {"worker": self._worker()} if family.kind == "gauge" else labels


def _attributes(scope: Scope, method: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "http.request.method": method,
        "url.path": scope["path"],
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
    }
    if scope.get("client"):
        found["client.address"] = scope["client"][0]
    if scope.get("server"):
        found["server.address"] = scope["server"][0]
    return found


def _set_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))
