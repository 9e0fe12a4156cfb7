"""Files into the database: rows are read, checked and stored in chunks, and a bad one stops nothing.

Readers turn a file into a stream of rows; every row is checked by the same rules whatever its format; the
loader writes them. A row that cannot be stored is a `BadRow` in the same stream, with its line and reason.
"""

from recsvc.errors import UnreadableFileError
from recsvc.services.importing.formats import FORMATS, KINDS, Request
from recsvc.services.importing.loading import Outcome
from recsvc.services.importing.rows import BadRow
from recsvc.services.importing.use_case import import_path

__all__ = ["FORMATS", "KINDS", "BadRow", "Outcome", "Request", "UnreadableFileError", "import_path"]
