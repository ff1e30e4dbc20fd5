"""Where clients come in: endpoints, sockets, TLS, and proxies that stand in between."""
