"""HTTP: connections, and the requests and responses on them."""
