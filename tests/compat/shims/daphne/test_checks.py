"""``daphne.checks``; that Django runs it is tested in tests/compat/test_compat.py."""

from types import SimpleNamespace

import pytest
from django.apps import apps

from fairway.compat.shims.daphne.checks import check_daphne_installed


@pytest.mark.row("2.6 daphne.E001")
@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["daphne", "django.contrib.staticfiles"], []),
        (["django.contrib.staticfiles", "daphne"], ["daphne.E001"]),
        (["daphne"], []),
        (["django.contrib.staticfiles"], []),
    ],
)
def test_order(names: list[str], ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """``runserver`` of the first app wins, and that of ``staticfiles`` serves no WebSockets."""
    configs = [SimpleNamespace(name=name) for name in names]
    monkeypatch.setattr(apps, "get_app_configs", lambda: configs)
    assert [message.id for message in check_daphne_installed(None)] == ids
