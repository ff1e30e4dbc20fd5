"""Servers that take no ASGI application: each with the shortest echo that it has."""
