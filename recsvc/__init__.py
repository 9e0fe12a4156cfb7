"""recsvc: the recommendation service that stands beside a shop."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsvc.factory import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    # A shop that imports `recsvc.client` needs nothing of the server.
    if name == "create_app":
        from recsvc.factory import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
