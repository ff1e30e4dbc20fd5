"""Nothing is measured over plain HTTP yet."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
