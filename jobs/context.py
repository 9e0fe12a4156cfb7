"""The application that jobs run in, made once in a process."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask
from rq import get_current_job
from rq.job import Job

from recsvc import queues
from recsvc.bare import create_bare_app
from recsvc.config import InvalidSettingError


@functools.cache
def application() -> Flask:
    """The application of this process, which a wrong setting ends with one message."""
    try:
        return create_bare_app()
    except InvalidSettingError as error:
        sys.exit(f"recsvc: {error}")


def in_application(job: Callable[..., Any]) -> Callable[..., Any]:
    """Pushes the application's context around a job, whose lines name the request that asked for it."""

    @functools.wraps(job)
    def with_context(*args: Any, **kwargs: Any) -> Any:
        present = args[0] if args and isinstance(args[0], Job) else get_current_job()
        request_id = present.meta.get(queues.REQUEST_ID) if present else None
        named = {queues.REQUEST_ID: request_id} if request_id else {}
        with application().app_context(), structlog.contextvars.bound_contextvars(**named):
            return job(*args, **kwargs)

    return with_context
