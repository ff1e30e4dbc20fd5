"""Names and capacities, as Channels' layer specification has them."""

import re

import pytest

from fairway.layers.base import BaseChannelLayer

CHANNEL_ERROR = (
    "Channel name must be a valid unicode string with length < 100 containing only ASCII "
    "alphanumerics, hyphens, underscores, or periods."
)
GROUP_ERROR = CHANNEL_ERROR.replace("Channel", "Group")


@pytest.fixture
def layer() -> BaseChannelLayer:
    return BaseChannelLayer()


@pytest.mark.parametrize("name", ["a", "chat.room-1_x", "specific.abc!", "specific.abc!x-Y_1.z"])
@pytest.mark.row("1.4 require_valid_channel_name", "4 names")
def test_valid_channel_names(layer: BaseChannelLayer, name: str) -> None:
    """Letters, digits, hyphens, underscores and periods, and one exclamation mark."""
    assert layer.require_valid_channel_name(name) is True


@pytest.mark.parametrize(
    "name",
    [
        "",
        "!",
        "!a",
        "a b",
        "a!b!c",
        "ü",
        "a!ü",
        "a\n",
        "a!b\n",
        "a" * 101,
        b"bytes",
        None,
        7,
        "\N{CYRILLIC SMALL LETTER A}bc",
        "a\N{ARABIC-INDIC DIGIT THREE}",
        "a!\N{FULLWIDTH DIGIT ONE}",
    ],
)
@pytest.mark.row("1.4 require_valid_channel_name", "4 names", "7 1")
def test_invalid_channel_names(layer: BaseChannelLayer, name: object) -> None:
    """Everything else is refused: also a trailing newline, and look-alikes behind the mark."""
    with pytest.raises(TypeError) as caught:
        layer.require_valid_channel_name(name)
    assert str(caught.value) == CHANNEL_ERROR


@pytest.mark.row("1.4 match_type_and_length", "7 1")
def test_names_of_a_hundred_characters(layer: BaseChannelLayer) -> None:
    """The specification asks for names of at least 100 bytes."""
    assert layer.require_valid_channel_name("a" * 100)
    assert layer.require_valid_group_name("a" * 100)


def test_receive_names_end_at_the_mark(layer: BaseChannelLayer) -> None:
    """A process receives from the name up to the mark."""
    assert layer.require_valid_channel_name("specific.abc!", receive=True)
    with pytest.raises(TypeError, match=r"Specific channel names in receive\(\) must end at the !"):
        layer.require_valid_channel_name("specific.abc!xyz", receive=True)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a!b",
        "a b",
        "ü",
        "a\n",
        "a" * 101,
        None,
        "\N{CYRILLIC SMALL LETTER A}bc",
        "\N{ARABIC-INDIC DIGIT THREE}",
    ],
)
@pytest.mark.row("1.4 require_valid_group_name", "7 1")
def test_invalid_group_names(layer: BaseChannelLayer, name: object) -> None:
    """Groups have no exclamation mark."""
    with pytest.raises(TypeError) as caught:
        layer.require_valid_group_name(name)
    assert str(caught.value) == GROUP_ERROR


@pytest.mark.row("1.4 valid_channel_names")
def test_lists_of_names(layer: BaseChannelLayer) -> None:
    """A list is valid if it is not empty and every name in it is."""
    assert layer.valid_channel_names(["a", "b"]) is True
    with pytest.raises(TypeError):
        layer.valid_channel_names(["a", "b c"])
    with pytest.raises(AssertionError, match="names must be a non-empty list"):
        layer.valid_channel_names([])


@pytest.mark.row("1.4 non_local_name")
def test_non_local_name(layer: BaseChannelLayer) -> None:
    """What its process reads: up to and including the mark."""
    assert layer.non_local_name("specific.abc!xyz") == "specific.abc!"
    assert layer.non_local_name("chat") == "chat"


@pytest.mark.row("1.4 valid_channel_name")
def test_deprecated_names(layer: BaseChannelLayer) -> None:
    """The names that Channels deprecated still work, and say so."""
    with pytest.warns(DeprecationWarning, match="require_valid_channel_name"):
        assert layer.valid_channel_name("a")
    with pytest.warns(DeprecationWarning, match="require_valid_group_name"):
        assert layer.valid_group_name("a")


@pytest.mark.row("1.4 compile_capacities", "1.4 get_capacity")
def test_capacities_by_pattern() -> None:
    """The first glob or regular expression that matches counts; others have the default."""
    layer = BaseChannelLayer(
        capacity=7,
        channel_capacity={"http.request": 200, re.compile(r"^websocket\.send!.+"): 20, "web*": 10},
    )
    assert [
        layer.get_capacity(name)
        for name in ("http.request", "websocket.send!x", "websocket.other", "jobs")
    ] == [200, 20, 10, 7]


@pytest.mark.row("1.4 compile_capacities")
def test_compiled_twice() -> None:
    """A layer that was written for Channels compiles what the constructor has compiled."""
    layer = BaseChannelLayer(channel_capacity={"http.*": 5})
    assert layer.compile_capacities(layer.channel_capacity) == layer.channel_capacity


def test_names_of_another_kind() -> None:
    """A layer of somebody's own may say what its names look like."""

    class Slashes(BaseChannelLayer):
        group_name_regex = re.compile(r"^[a-z/]+$")

    assert Slashes().require_valid_group_name("chat/room")
    with pytest.raises(TypeError):
        Slashes().require_valid_group_name("chat.room")


def test_refused_name_is_shown(layer: BaseChannelLayer) -> None:
    """Who is refused sees the name, which may be made of data, and what makes a valid one."""
    with pytest.raises(TypeError) as caught:
        layer.require_valid_group_name("chat my room")
    assert caught.value.__notes__ == [
        "It is 'chat my room'. fairway.layers.group_name() makes one of any text."
    ]
