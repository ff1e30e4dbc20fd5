"""``{% load fairway %}``."""

import sys
from types import ModuleType
from typing import Any

import pytest
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory
from django.urls import path
from pytest_django import Settings

from fairway.generic.websocket import AsyncWebsocketConsumer
from fairway.routing import URLRouter

TAG = "{% load fairway %}"
CONSUMER: Any = AsyncWebsocketConsumer.as_asgi()


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """A project with a route for sockets, and templates."""
    module = ModuleType("asgi_of_tests")
    vars(module)["application"] = URLRouter([path("ws/<int:pk>/", CONSUMER, name="room")])
    monkeypatch.setitem(sys.modules, "asgi_of_tests", module)
    settings.ASGI_APPLICATION = "asgi_of_tests.application"
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]


class TestWebsocketURL:
    """``{% websocket_url %}``."""

    @pytest.mark.parametrize(
        ("tag", "text"),
        [
            ("{% websocket_url 'room' 7 %}", "ws://testserver/ws/7/"),
            ("{% websocket_url 'room' pk=7 %}", "ws://testserver/ws/7/"),
            ("{% websocket_url 'room' 7 as url %}[{{ url }}]", "[ws://testserver/ws/7/]"),
        ],
    )
    def test_address(self, tag: str, text: str) -> None:
        """A template gets the address from its request."""
        context = Context({"request": RequestFactory().get("/")})
        assert Template(TAG + tag).render(context) == text

    def test_without_a_request(self) -> None:
        """Without a request there is no host to name."""
        with pytest.raises(TemplateSyntaxError) as caught:
            Template(TAG + "{% websocket_url 'room' 7 %}").render(Context())
        assert str(caught.value) == (
            "{% websocket_url %} needs the request in its context: render the template with one, "
            "and have django.template.context_processors.request among the context processors."
        )
