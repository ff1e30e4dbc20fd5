"""Figures as text for Prometheus, read by its own parser."""

from prometheus_client.parser import text_string_to_metric_families

from fairway.server.observing.exposition import render
from fairway.server.observing.figures import Family, Histogram, family, single


def test_text() -> None:
    """A line for each figure, below what it is called and is."""
    histogram = Histogram((0.5,))
    histogram.observe(0.25)
    text = render(
        [
            single("fairway_connections", "gauge", "Open connections.", 3),
            family("fairway_refused", "counter", "Refused.", {("a",): 2, ("b",): 0}, "limit"),
            histogram.family("fairway_lag_seconds", "Lag."),
        ]
    )
    assert text.decode() == (
        "# HELP fairway_connections Open connections.\n"
        "# TYPE fairway_connections gauge\n"
        "fairway_connections 3\n"
        "# HELP fairway_refused_total Refused.\n"
        "# TYPE fairway_refused_total counter\n"
        'fairway_refused_total{limit="a"} 2\n'
        'fairway_refused_total{limit="b"} 0\n'
        "# HELP fairway_lag_seconds Lag.\n"
        "# TYPE fairway_lag_seconds histogram\n"
        'fairway_lag_seconds_bucket{le="0.5"} 1\n'
        'fairway_lag_seconds_bucket{le="+Inf"} 1\n'
        "fairway_lag_seconds_sum 0.25\n"
        "fairway_lag_seconds_count 1\n"
    )


def test_parsed() -> None:
    """Prometheus reads what was meant, whatever characters a label or a help has."""
    value = 'a "quoted"\\path\nand a line'
    text = render([family("odd", "gauge", "Has \\ and\na line.", {(value,): 0.125}, "label")])
    (found,) = text_string_to_metric_families(text.decode())
    assert (found.name, found.type, found.documentation) == ("odd", "gauge", "Has \\ and\na line.")
    assert [(s.name, s.labels, s.value) for s in found.samples] == [
        ("odd", {"label": value}, 0.125)
    ]


def test_nothing() -> None:
    """A family without figures is still known."""
    text = render([Family("none", "counter", "None.", {})]).decode()
    assert text == "# HELP none_total None.\n# TYPE none_total counter\n"
