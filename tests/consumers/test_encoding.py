"""JSON as Django writes it."""

import datetime
import decimal
import json
import uuid
from typing import Any

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext_lazy

from fairway.generic.encoding import encode_json


@pytest.mark.pain(25)
@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, None, True, "ä"], "b": ()},
        datetime.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC),
        datetime.time(3, 4, 5),
        datetime.timedelta(days=-1),
        decimal.Decimal("0.10"),
        uuid.UUID(int=5),
        gettext_lazy("word"),
    ],
)
def test_as_django(value: Any) -> None:
    """It is what Django's encoder makes of it, and for plain values what Python's does."""
    assert encode_json(value) == json.dumps(value, cls=DjangoJSONEncoder)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ({1, 2}, TypeError, "Object of type set is not JSON serializable"),
        (datetime.time(1, tzinfo=datetime.UTC), ValueError, "timezone-aware times"),
    ],
)
def test_refused(value: Any, error: type[Exception], text: str) -> None:
    """What Django refuses is refused."""
    with pytest.raises(error, match=text):
        encode_json(value)
