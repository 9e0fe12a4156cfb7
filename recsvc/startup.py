"""How a process begins."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def imports_that_stay() -> Iterator[None]:
    """Keeps the garbage collector from what is imported within, which stays to the end of the process.

    There are hundreds of thousands of objects, none of them garbage. The collector would look through them
    time and again while they are made, whenever it looks at everything, and several times at the end.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
