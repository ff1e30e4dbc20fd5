"""What is waiting for whom inside one process.

A connection has one :class:`Mailbox` (its ASGI ``receive``) and one :class:`Outbox` (its ASGI
``send``); the :class:`Hub` knows which channel belongs to which mailbox and who is in which group.
Nothing here knows a socket, a transport or Django.
"""

from fairway.delivery.hub import Hub
from fairway.delivery.mailbox import Mailbox, Overflow
from fairway.delivery.outbox import Outbox
from fairway.delivery.queue import ChannelQueue

__all__ = ["ChannelQueue", "Hub", "Mailbox", "Outbox", "Overflow"]
