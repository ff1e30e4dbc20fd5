"""No page of its own: each test that needs one brings it."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
