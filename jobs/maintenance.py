"""Jobs that keep things in order."""

from __future__ import annotations

from jobs.context import in_application
from recsvc.services import registry, training


@in_application
def sweep_runs() -> None:
    """Ends runs that nobody works on any more, and records what the model store says is active."""
    training.sweep()
    registry.reconcile()
