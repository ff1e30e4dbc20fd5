"""Protocols without I/O: bytes in, events out; calls in, bytes out.

Nothing here opens a socket, starts a timer or knows an event loop, so every rule of the standards
can be tested in memory. The interface server in :mod:`fairway.server` is the shell around it.
"""
