"""``{% load fairway %}``: the addresses of sockets in templates."""

from typing import Any

from django import template
from django.template import Context, TemplateSyntaxError

from fairway.routing import websocket_url as get_websocket_url

register = template.Library()


@register.simple_tag(takes_context=True)
def websocket_url(context: Context, viewname: str, *args: Any, **kwargs: Any) -> str:
    """Return what ``new WebSocket()`` takes: ``{% websocket_url "chat:room" room.pk %}``.

    Args:
        context: The template's, with the ``request`` in it.
        viewname: The name of the route, after its namespaces if it has any.
        args: Values for its parameters by position, or
        kwargs: by name.

    Raises:
        TemplateSyntaxError: There is no request in the context.
        NoReverseMatch: No route has this name and takes these values.
    """
    request = context.get("request")
    if request is None:
        raise TemplateSyntaxError(
            "{% websocket_url %} needs the request in its context: render the template with one, "
            "and have django.template.context_processors.request among the context processors."
        )
    return get_websocket_url(request, viewname, args, kwargs)
