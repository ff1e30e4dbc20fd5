"""Figures and spans through OpenTelemetry, with its own SDK."""

import sys
from collections.abc import Iterator

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from fairway._types import Receive, Scope, Send
from fairway.server import Config, ConfigError, Server
from tests.server.applications import body, path, start
from tests.server.conftest import Serve
from tests.server.running import Logs, until

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans that have ended."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    """Reads the figures when it is told to."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    yield reader
    provider.shutdown()


def ended(spans: InMemorySpanExporter) -> ReadableSpan:
    """The one span."""
    (span,) = spans.get_finished_spans()
    return span


class TestSpans:
    """What an application does, traced."""

    async def test_request(self, serve: Serve, spans: InMemorySpanExporter) -> None:
        """A request has a span below that of whoever sent it; the application's are below it."""
        seen: list[int] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(trace.get_current_span().get_span_context().span_id)
            await path(scope, receive, send)

        running = await serve(app, opentelemetry=True)
        client = await running.connect()
        await client.fetch("/a?b", f"traceparent: {PARENT}")
        await until(spans.get_finished_spans)
        span = ended(spans)
        assert (span.name, span.kind, span.status.status_code) == (
            "GET",
            SpanKind.SERVER,
            StatusCode.UNSET,
        )
        assert span.parent is not None
        assert f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" in PARENT
        assert span.context is not None
        assert seen == [span.context.span_id]
        assert span.attributes == {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "url.path": "/a",
            "url.scheme": "http",
            "network.protocol.version": "1.1",
            "client.address": "127.0.0.1",
            "server.address": "127.0.0.1",
        }

    async def test_failure(self, serve: Serve, spans: InMemorySpanExporter, logs: Logs) -> None:
        """What the application raised stands in its span."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            raise RuntimeError("broken")

        running = await serve(app, opentelemetry=True)
        assert (await (await running.connect()).fetch()).status == 500
        await until(spans.get_finished_spans)
        assert ended(spans).status.status_code is StatusCode.ERROR
        assert [event.name for event in ended(spans).events] == ["exception"]
        logs.take()

    async def test_server_error(self, serve: Serve, spans: InMemorySpanExporter) -> None:
        """So does a response that says that something is wrong."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(start(503))
            await send(body())

        running = await serve(app, opentelemetry=True)
        await (await running.connect()).fetch()
        await until(spans.get_finished_spans)
        assert ended(spans).status.status_code is StatusCode.ERROR

    @pytest.mark.parametrize(
        ("answer", "status"), [("websocket.accept", 101), ("websocket.close", 403)]
    )
    async def test_websocket(
        self, serve: Serve, spans: InMemorySpanExporter, answer: str, status: int
    ) -> None:
        """That of a WebSocket ends with the answer to its handshake, however long it lives."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": answer})
            await receive()

        running = await serve(app, opentelemetry=True)
        client = await running.websocket()
        await client.open("/ws", f"traceparent: {PARENT}")
        await until(spans.get_finished_spans)
        span = ended(spans)
        assert (span.name, span.kind) == ("GET", SpanKind.SERVER)
        assert span.attributes is not None
        assert span.attributes["http.response.status_code"] == status
        assert span.parent is not None

    async def test_undecided(self, serve: Serve, spans: InMemorySpanExporter, logs: Logs) -> None:
        """An application that returns without a word ends it, too."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()

        running = await serve(app, opentelemetry=True)
        assert b" 500 " in await (await running.websocket()).open()
        assert ended(spans).name == "GET"
        logs.take()


async def test_figures(
    serve: Serve, reader: InMemoryMetricReader, spans: InMemorySpanExporter
) -> None:
    """The figures are those of the page with the metrics."""
    running = await serve(path, opentelemetry=True)
    await (await running.connect()).fetch()
    data = reader.get_metrics_data()
    assert data is not None
    found = {
        (metric.name, tuple(sorted((point.attributes or {}).items()))): point.value
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
        if isinstance(point, NumberDataPoint)
    }
    assert found["fairway_requests", (("method", "GET"), ("status", "2xx"))] == 1
    assert found["fairway_connections", (("worker", "0"),)] == 1
    assert found["fairway_request_duration_seconds_count", ()] == 1
    assert found["fairway_refused", (("limit", "max_connections"),)] == 0


async def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the server does not start, and says what to install."""
    monkeypatch.setitem(sys.modules, "fairway.server.observing.telemetry", None)
    with pytest.raises(ConfigError, match=r"Install fairway\[opentelemetry\]\.") as error:
        await Server(path, Config(port=0, opentelemetry=True)).serve()
    assert str(error.value).startswith("opentelemetry is on, but there is no module ")


async def test_off(serve: Serve, spans: InMemorySpanExporter) -> None:
    """It is not used by whoever has not asked for it."""
    running = await serve(path)
    await (await running.connect()).fetch()
    assert running.context.telemetry is None
    assert spans.get_finished_spans() == ()
