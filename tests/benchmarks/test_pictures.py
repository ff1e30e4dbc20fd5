"""Bars, as an SVG."""

from xml.etree import ElementTree

from harness.pictures import Bar, bars

SVG = "{http://www.w3.org/2000/svg}"


def bar(name: str, value: float, *, ours: bool = False, **marks: float) -> Bar:
    return Bar(name=name, value=value, least=value - 1, most=value + 1, ours=ours, marks=marks)


def rectangles(picture: ElementTree.Element) -> list[str | None]:
    return [each.get("width") for each in picture.iter(f"{SVG}rect")]


def test_scale() -> None:
    """All bars are on one linear scale, whose end is the longest of them."""
    picture = ElementTree.fromstring(bars("t", "u", [bar("one", 10), bar("two", 40)]))
    assert rectangles(picture) == ["25.00%", "100.00%"]


def test_mark() -> None:
    """A target is a line with its words; it makes the scale longer if it must."""
    picture = ElementTree.fromstring(bars("t", "u", [bar("one", 30, target=60)]))
    (line,) = picture.iter(f"{SVG}line")
    assert (line.get("x1"), line.get("x2")) == ("100.00%", "100.00%")
    assert rectangles(picture) == ["50.00%"]
    assert [each.text for each in picture.iter(f"{SVG}text")] == ["u", "one", "30", "target"]


def test_ours() -> None:
    """Ours are another kind than theirs, for the style sheet."""
    picture = ElementTree.fromstring(bars("t", "u", [bar("one", 1, ours=True), bar("two", 2)]))
    assert [each.get("class") for each in picture.iter(f"{SVG}g")] == ["ours", "theirs"]


def test_words() -> None:
    """Title, names, values and their spread are there for those who cannot see it."""
    picture = ElementTree.fromstring(bars("a < b", "u", [bar("one & two", 1234.5)]))
    assert [each.text for each in picture.iter(f"{SVG}title")] == [
        "a < b",
        "one & two: 1,234 (1,234 to 1,236)",
    ]


def test_nothing() -> None:
    """Nothing but noughts has a scale, too, and what is below nought has no length."""
    picture = ElementTree.fromstring(bars("t", "u", [bar("one", 0), bar("two", -3)]))
    assert rectangles(picture) == ["0.00%", "0.00%"]
