"""``daphne.utils``."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from fairway.compat.shims.daphne.utils import (
    HEADER_NAME_RE,
    INVALID_HEADER_VALUE_BYTES,
    header_value,
    import_by_path,
    parse_x_forwarded_for,
)


@pytest.mark.row("2.5 import_by_path")
class TestImportByPath:
    """Objects by their path."""

    def test_found(self) -> None:
        """Attributes are followed."""
        assert import_by_path("os:path.join") is __import__("os").path.join

    @pytest.mark.parametrize(
        ("path", "error"),
        [
            ("no_such_module:a", ModuleNotFoundError),
            ("os:no_such_name", AttributeError),
            ("os", ValueError),
            ("os:", ValueError),
        ],
    )
    def test_not_found(self, path: str, error: type[Exception]) -> None:
        """What is missing is said by the usual exceptions."""
        with pytest.raises(error):
            import_by_path(path)


class TestHeaders:
    """Names and values."""

    @pytest.mark.parametrize("value", [b"a", [b"a", b"b"], (b"a",)])
    def test_header_value(self, value: Any) -> None:
        """The first counts."""
        assert header_value({b"x": value}, b"x") == "a"

    def test_names(self) -> None:
        """A name is a token."""
        assert HEADER_NAME_RE.fullmatch(b"X-Real-IP")
        assert HEADER_NAME_RE.fullmatch(b"X_Y!")
        assert not HEADER_NAME_RE.fullmatch(b"X Y")
        assert not HEADER_NAME_RE.fullmatch(b"")

    def test_invalid_bytes(self) -> None:
        """These are what else ends a line of text."""
        line_ends = {ord(c) for c in map(chr, range(256)) if len(f"a{c}b".splitlines()) == 2}
        assert line_ends - set(b"\r\n") == INVALID_HEADER_VALUE_BYTES


@pytest.mark.row("2.5 parse_x_forwarded_for")
class TestForwarded:
    """What a proxy's headers say."""

    HEADERS: Mapping[bytes, bytes | list[bytes]] = {
        b"X-Forwarded-For": [b"10.1.2.3, 192.0.2.1"],
        b"X-Forwarded-Port": b"1234",
    }

    def test_all(self) -> None:
        """The leftmost address, its port and the scheme."""
        headers = {**self.HEADERS, b"X-Forwarded-Proto": b"https"}
        assert parse_x_forwarded_for(headers) == (["10.1.2.3", 1234], "https")

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ({"port_header_name": None}, (["10.1.2.3", 0], None)),
            ({"port_header_name": "X-Other"}, (["10.1.2.3", 0], None)),
            ({"original_scheme": "http"}, (["10.1.2.3", 1234], "http")),
            ({"address_header_name": None, "original_addr": ["::1", 5]}, (["::1", 5], None)),
            ({"address_header_name": "X-Other", "original_addr": ["::1", 5]}, (["::1", 5], None)),
            ({"proto_header_name": None, "original_scheme": "x"}, (["10.1.2.3", 1234], "x")),
        ],
    )
    def test_names(self, arguments: dict[str, Any], expected: object) -> None:
        """Each header may have another name or none; then what was there before stays."""
        assert parse_x_forwarded_for(self.HEADERS, **arguments) == expected

    def test_twisted(self) -> None:
        """Twisted's headers are no mapping, but tell what they have when they are asked."""

        class Headers:
            def getAllRawHeaders(self) -> Iterator[tuple[bytes, list[bytes]]]:  # noqa: N802
                yield b"X-Forwarded-For", [b"10.1.2.3, 192.0.2.1"]
                yield b"X-Forwarded-Port", [b"1234"]

        headers: Any = Headers()
        assert parse_x_forwarded_for(headers) == (["10.1.2.3", 1234], None)

    def test_bad_port(self) -> None:
        """A port that is no number is none."""
        headers = {**self.HEADERS, b"X-Forwarded-Port": b"many"}
        assert parse_x_forwarded_for(headers) == (["10.1.2.3", 0], None)
