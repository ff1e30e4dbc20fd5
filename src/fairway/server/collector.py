"""The garbage collector, in a process that serves and nothing else."""

import gc
from typing import Final

#: More objects than before, about, with which the oldest may be looked at again.
NEW_OBJECTS: Final = 350_000

#: Python's own thresholds: of 3.11 and 3.12, and of 3.13. Not read from this process, as a project
#: may have set others before this is imported, such as in ``gunicorn.conf.py``.
_DEFAULTS: Final = frozenset({(700, 10, 10), (2000, 10, 10)})


def settle() -> None:
    """Let the collector look at what comes from now on, and at old objects less often.

    Sockets that stay make it believe that there is garbage: with Python's thresholds it walks
    through all that is alive, the project's own 60,000 objects and what each socket has, for each
    1,200 that have come. That was 30 % of the processor time while 5,000 were opened, in pauses
    of a tenth of a second. What was made before the server was ready is not looked at again, and
    old objects only when :data:`NEW_OBJECTS` have come and stayed, if that is a quarter of those
    alive. A closed socket leaves nothing to collect, and what a handler leaves dies young.

    To be called once, when all is imported. Thresholds that the project has set stay as they are.
    """
    gc.freeze()
    young, middle, old = thresholds = gc.get_threshold()
    if thresholds in _DEFAULTS:
        gc.set_threshold(young, middle, max(old, NEW_OBJECTS // (young * middle)))
