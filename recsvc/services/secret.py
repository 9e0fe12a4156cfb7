"""The service's secret: what it signs with."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from recsvc.config import Config

_FILE = "secret.key"


def secret_keys(config: Config) -> list[str]:
    """The secret to sign with, and those before it whose signatures are still good.

    Where settings have none, one is made in the instance folder, which the processes of one machine share.

    Raises:
        OSError: The instance folder cannot be written, or the file not be read.
    """
    present = config.secret_key or _kept_in(config.instance_dir / _FILE)
    return [present, *config.secret_key_fallbacks]


def _kept_in(file: Path) -> str:
    if not file.exists():
        unfinished = file.with_name(f".{_FILE}.{secrets.token_hex(4)}.tmp")
        unfinished.touch(mode=0o600)
        try:
            unfinished.write_text(secrets.token_hex(32), encoding="ascii")
            # Of processes that start together one makes it, and no other sees half of it.
            with suppress(FileExistsError):
                os.link(unfinished, file)
        finally:
            unfinished.unlink()
    return file.read_text(encoding="ascii")
