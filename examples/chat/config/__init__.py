"""The project: its settings, its addresses and its ASGI application."""
