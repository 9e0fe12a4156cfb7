"""recsvc: the recommendation service that stands beside a shop."""

from recsvc.factory import create_app

__all__ = ["create_app"]
