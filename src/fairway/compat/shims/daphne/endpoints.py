"""``daphne.endpoints``: endpoint strings from what people usually say."""


def build_endpoint_description_strings(
    host: str | None = None,
    port: int | None = None,
    unix_socket: str | None = None,
    file_descriptor: int | None = None,
) -> list[str]:
    """Endpoint strings, as ``--endpoint`` takes them, for the ways to listen that are named.

    Raises:
        ValueError: A host without a port, or a port without a host.
    """
    if (host is None) != (port is None):
        raise ValueError("TCP binding requires both port and host kwargs.")
    endpoints = []
    if host is not None:
        address = host.strip("[]").replace(":", r"\:")
        endpoints.append(f"tcp:port={port}:interface={address}")
    if unix_socket is not None:
        endpoints.append(f"unix:{unix_socket}")
    if file_descriptor is not None:
        endpoints.append(f"fd:fileno={file_descriptor}")
    return endpoints
