"""BaseChannelLayer: the contract itself."""

import pytest

from fairway.layers import BaseChannelLayer


@pytest.mark.row("1.4 send", "1.4 BaseChannelLayer")
@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda layer: layer.send("a", {}), "send() should be implemented in a channel layer"),
        (lambda layer: layer.receive("a"), "receive() should be implemented in a channel layer"),
        (lambda layer: layer.new_channel(), "new_channel() should be implemented in a channel"),
        (lambda layer: layer.flush(), "flush() not implemented (flush extension)"),
        (lambda layer: layer.group_add("g", "a"), "group_add() not implemented (groups extension)"),
        (lambda layer: layer.group_discard("g", "a"), "group_discard() not implemented"),
        (lambda layer: layer.group_send("g", {}), "group_send() not implemented"),
    ],
)
async def test_the_base_implements_nothing(call: object, text: str) -> None:
    """A layer of somebody's own that lacks a method says which."""
    with pytest.raises(NotImplementedError) as caught:
        await call(BaseChannelLayer())  # type: ignore[operator]  # one of the lambdas
    assert text in str(caught.value)
