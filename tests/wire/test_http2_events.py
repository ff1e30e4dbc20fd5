"""What an HTTP/2 connection tells the server."""

import dataclasses

from h2.errors import ErrorCodes

from fairway.wire.http2_events import ConnectionBroken, ErrorCode, HTTP2Limits, Limit, StreamBroken


class TestNames:
    """Names that must agree."""

    def test_codes(self) -> None:
        """The error codes are those of the registry, as h2 has them too."""
        assert {code.name: int(code) for code in ErrorCode} == {
            code.name: int(code) for code in ErrorCodes
        }

    def test_limits(self) -> None:
        """Each limit is a field of the limits."""
        fields = {field.name for field in dataclasses.fields(HTTP2Limits)}
        assert {limit.value for limit in Limit} <= fields


class TestErrors:
    """What carries an error to where it is answered."""

    def test_facts(self) -> None:
        """They have the code, and the text for people."""
        broken = ConnectionBroken(ErrorCode.CANCEL, "Why.", Limit.RESETS)
        assert (broken.code, broken.detail, broken.limit, str(broken)) == (
            ErrorCode.CANCEL, "Why.", Limit.RESETS, "Why."
        )  # fmt: skip
        assert StreamBroken(ErrorCode.CANCEL, "Why.").code is ErrorCode.CANCEL
