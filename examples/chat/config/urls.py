"""The site's addresses. The WebSockets' addresses are in chat/routing.py."""

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("", include("chat.urls")),
    path("admin/", admin.site.urls),
    # Under DEBUG any ASGI server serves the static files; in production your web server does.
    *staticfiles_urlpatterns(),
]
