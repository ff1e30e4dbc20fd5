"""Certificates that were renewed while the server runs."""

import logging
import os
from collections.abc import Iterable

from fairway.server.listening.listener import Listener
from fairway.server.listening.tls import TLS, TLSError

logger = logging.getLogger("fairway.server")


def reload_certificates(listeners: Iterable[Listener]) -> bool:
    """Read the certificates of listeners again; says whether all could be read.

    New connections get the new ones, those that exist keep theirs. Where a file is wrong, the
    certificate that was in force stays in force, and the log says what is wrong with the new one.
    """
    fine = True
    found: dict[int, TLS] = {id(each.tls): each.tls for each in listeners if each.tls is not None}
    for tls in found.values():
        name = tls.files.certificate
        try:
            tls.load()
        except TLSError as error:
            fine = False
            logger.error("The certificate in %s stays the old one: %s", name, error)
        else:
            logger.info("The certificate in %s was read again", name)
    if not found:
        logger.info("There are no certificates to be read again: nothing here is encrypted")
    return fine


def has_terminal() -> bool:
    """Whether the process has a controlling terminal.

    SIGHUP says to a server that it shall read its files again, and to a program in a terminal that
    the terminal was closed. Then the terminal is gone, too.
    """
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
