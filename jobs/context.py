"""The application that jobs run in, made once in a process."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from flask import Flask

from recsvc import create_app
from recsvc.config import InvalidSettingError


@functools.cache
def application() -> Flask:
    """The application of this process, which a wrong setting ends with one message."""
    try:
        return create_app()
    except InvalidSettingError as error:
        sys.exit(f"recsvc: {error}")


def in_application(job: Callable[..., Any]) -> Callable[..., Any]:
    """Pushes the application's context around a job."""

    @functools.wraps(job)
    def with_context(*args: Any, **kwargs: Any) -> Any:
        with application().app_context():
            return job(*args, **kwargs)

    return with_context
