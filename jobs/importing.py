"""Jobs about files that were uploaded."""

from __future__ import annotations

from jobs.context import in_application
from recsvc.services.importing import uploads


@in_application
def work_on(import_id: str) -> None:
    """Checks or stores an uploaded file, whichever is due."""
    uploads.work_on(import_id)
