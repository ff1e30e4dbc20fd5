"""``Sec-WebSocket-Extensions``: the grammar of RFC 6455 §9.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.wire.extensions import Extension, ExtensionsMalformed, parse_extensions
from tests.wire.streams import FUZZ

TOKENS = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=12)


def extension(name: str, *parameters: tuple[str, str | None]) -> Extension:
    """An extension with such parameters."""
    return Extension(name, parameters)


@pytest.mark.parametrize(
    ("lines", "offers"),
    [
        ([], []),
        ([b"foo"], [extension("foo")]),
        ([b"foo, bar"], [extension("foo"), extension("bar")]),
        ([b"foo", b"bar"], [extension("foo"), extension("bar")]),
        ([b"foo; x"], [extension("foo", ("x", None))]),
        ([b"foo;x=1"], [extension("foo", ("x", "1"))]),
        ([b'foo; x="1"'], [extension("foo", ("x", "1"))]),
        ([b'foo; x="\\1\\0"'], [extension("foo", ("x", "10"))]),
        (
            [b"foo ;\tx = 1 ; y\t, bar"],
            [extension("foo", ("x", "1"), ("y", None)), extension("bar")],
        ),
        ([b"foo; x=1; x=2"], [extension("foo", ("x", "1"), ("x", "2"))]),
        ([b"", b", ,foo,,", b" "], [extension("foo")]),
        # The examples of RFC 6455 §9.1, and one of RFC 7692 §7.1.3.
        ([b"deflate-stream"], [extension("deflate-stream")]),
        (
            [b"mux; max-channels=4; flow-control, deflate-stream"],
            [
                extension("mux", ("max-channels", "4"), ("flow-control", None)),
                extension("deflate-stream"),
            ],
        ),
        (
            [b"permessage-deflate; client_max_window_bits; server_max_window_bits=10"],
            [
                extension(
                    "permessage-deflate",
                    ("client_max_window_bits", None),
                    ("server_max_window_bits", "10"),
                )
            ],
        ),
    ],
)
def test_offers(lines: list[bytes], offers: list[Extension]) -> None:
    """Every extension is there in its order, with its parameters in theirs."""
    assert parse_extensions(lines) == offers


@pytest.mark.parametrize(
    "value",
    [
        b";",
        b"foo;",
        b"foo; ",
        b"foo; ;x",
        b"foo; x=",
        b"foo; =1",
        b"foo bar",
        b"foo; x y",
        b"foo; x=1 2",
        b'foo; x="1',
        b'foo; x="1"2',
        b'foo; x=""',
        b'foo; x="a b"',
        b'foo; x="a,b"',
        b'foo; x="a\\"',
        b'"foo"',
        b"foo=1",
        b"foo; x==1",
        b"foo, (bar)",
        "fóo".encode(),
        b"foo\x00",
        b"foo; x=1\x7f",
    ],
)
def test_malformed(value: bytes) -> None:
    """Anything else is refused."""
    with pytest.raises(ExtensionsMalformed):
        parse_extensions([value])


@FUZZ
@given(
    st.lists(
        st.tuples(TOKENS, st.lists(st.tuples(TOKENS, st.none() | TOKENS), max_size=4)), max_size=4
    ),
    st.sampled_from(["", " ", "\t "]),
    st.booleans(),
)
def test_round_trip(
    offers: list[tuple[str, list[tuple[str, str | None]]]], space: str, quoted: bool
) -> None:
    """What is written by the grammar is read as it was meant."""

    def written(name: str, value: str | None) -> str:
        if value is None:
            return f";{space}{name}"
        value = "".join(f"\\{char}" for char in value) if quoted else value
        return f";{space}{name}{space}={space}" + (f'"{value}"' if quoted else value)

    text = f"{space},{space}".join(
        name + space + space.join(written(*parameter) for parameter in parameters)
        for name, parameters in offers
    )
    assert parse_extensions([text.encode()]) == [
        Extension(name, tuple(parameters)) for name, parameters in offers
    ]


@FUZZ
@given(st.lists(st.binary(max_size=30) | st.text('a;,= "\\', max_size=30).map(str.encode)))
def test_any_bytes(lines: list[bytes]) -> None:
    """Whatever comes is read or refused, and never anything else."""
    try:
        offers = parse_extensions(lines)
    except ExtensionsMalformed:
        return
    assert all(offer.name for offer in offers)


def test_long_values() -> None:
    """A header as long as a server may allow takes no time that grows with its square."""
    parse_extensions([b"foo; x=1, " * 6000])
    parse_extensions([b"foo" + b"; x" * 20_000])
    parse_extensions([b" ," * 30_000])
    with pytest.raises(ExtensionsMalformed):
        parse_extensions([b'foo; x="' + b"\\a" * 30_000])
    with pytest.raises(ExtensionsMalformed):
        parse_extensions([b"foo" + b" " * 60_000 + b"@"])
