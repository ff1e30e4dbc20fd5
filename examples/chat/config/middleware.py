"""A strict Content Security Policy: a page may use what this site serves, and nothing inline."""

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

POLICY = "; ".join(
    [
        "default-src 'self'",  # includes connect-src, and with it this site's own WebSockets
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)


class ContentSecurityPolicyMiddleware(MiddlewareMixin):
    """Set the policy on every response that has none of its own.

    Should hostile text ever reach a page as HTML, the browser still runs no script in it. From
    Django 6.0 on, `django.middleware.csp.ContentSecurityPolicyMiddleware` can take this place.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Add the header on the way out, but not to Django's own pages about a mistake."""
        if settings.DEBUG and response.status_code in (404, 500):
            return response  # their style and script are inline
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response
