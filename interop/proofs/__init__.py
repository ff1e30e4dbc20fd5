"""The rows, in the order in which they are run and shown."""

from interop.proofs.layers import ROWS as LAYERS
from interop.rows import Row

ROWS: list[Row] = [*LAYERS]
