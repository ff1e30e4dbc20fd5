"""The pages: as little work for Django as there can be."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

#: Without a length (CommonMiddleware sets it) some servers would send chunks and others not.
HEADERS = {"Content-Type": "text/plain", "Content-Length": "13"}


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"Hello, world!", headers=HEADERS)


async def async_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"Hello, world!", headers=HEADERS)


urlpatterns = [path("view/", view), path("async-view/", async_view)]
