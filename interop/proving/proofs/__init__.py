"""The rows, in the order in which they are run and shown."""

from proving.proofs.layers import ROWS as LAYERS
from proving.proofs.packages import ROWS as PACKAGES
from proving.proofs.protocol import ROWS as PROTOCOL
from proving.proofs.proxy import ROWS as PROXY
from proving.proofs.redis_servers import ROWS as REDIS_SERVERS
from proving.proofs.senders import ROWS as SENDERS
from proving.proofs.servers import ROWS as SERVERS
from proving.proofs.suites import ROWS as SUITES
from proving.rows import Row

ROWS: list[Row] = [
    *LAYERS,
    *REDIS_SERVERS,
    *SERVERS,
    *PROXY,
    *SENDERS,
    *PACKAGES,
    *SUITES,
    *PROTOCOL,
]
