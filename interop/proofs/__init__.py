"""The rows, in the order in which they are run and shown."""

from interop.proofs.layers import ROWS as LAYERS
from interop.proofs.packages import ROWS as PACKAGES
from interop.proofs.proxy import ROWS as PROXY
from interop.proofs.servers import ROWS as SERVERS
from interop.proofs.suites import ROWS as SUITES
from interop.rows import Row

ROWS: list[Row] = [*LAYERS, *SERVERS, *PROXY, *PACKAGES, *SUITES]
