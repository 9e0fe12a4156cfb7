"""The use case: import a file or a folder."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter

from recsvc.errors import UnreadableFileError
from recsvc.services.events import event_book
from recsvc.services.importing.files import READ_ERRORS
from recsvc.services.importing.formats import Request, open_streams
from recsvc.services.importing.loading import Checker, Loader, OnBadRow, Outcome
from recsvc.storage.models import now

Progress = Callable[[int, int], None]


def import_path(
    request: Request,
    *,
    on_bad_row: OnBadRow | None = None,
    progress: Progress | None = None,
    is_check: bool = False,
) -> Outcome:
    """Stores what a file or a data set's folder holds. Run twice, it stores nothing twice.

    Args:
        request: What to import.
        on_bad_row: Told of every row that is not stored.
        progress: Called now and then with the bytes read and the bytes there are; 0 where that is not known.
        is_check: Only tell what would become of the rows: good ones count as stored, and none is.

    Returns:
        Counts, and why rows were rejected.

    Raises:
        UnreadableFileError: A file is missing, is not what it should be, or breaks off.
        InvalidInputError: The event is not configured, or cannot be meant.
    """
    started, moment = perf_counter(), now()
    with ExitStack() as open_files, _no_collector():
        try:
            streams = open_streams(request, event_book(), moment, open_files)
        except READ_ERRORS as error:
            name = request.name or request.path
            raise UnreadableFileError(
                "%(file)s cannot be read: %(why)s.", file=name, why=str(error)
            ) from error

        def tell() -> None:
            if progress is not None:
                files = [stream.file for stream in streams]
                progress(sum(file.position() for file in files), sum(file.size for file in files))

        kind_of_loader = Checker if is_check else Loader
        loader = kind_of_loader(request.format, moment, on_bad_row or (lambda row: None), tell)
        for stream in streams:
            try:
                loader.load(stream)
            except READ_ERRORS as error:
                raise UnreadableFileError(
                    "%(file)s cannot be read to its end: %(why)s. What came before is stored.",
                    file=stream.file.name,
                    why=str(error),
                ) from error
    loader.outcome.seconds = perf_counter() - started
    return loader.outcome


@contextmanager
def _no_collector() -> Iterator[None]:
    """Rows form no cycles, and the collector would look at each chunk's many times over."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
