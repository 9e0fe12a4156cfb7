"""Jobs that keep things in order."""

from __future__ import annotations

from jobs.context import in_application
from recsvc.services import attribution, privacy, registry, stock, training


@in_application
def sweep_runs() -> None:
    """Ends runs that nobody works on any more, and records what the model store says is active."""
    training.sweep()
    registry.reconcile()


@in_application
def count_stock() -> None:
    """Counts a large shop, so that whoever asks for its status need not wait."""
    stock.keep()


@in_application
def delete_old_data() -> None:
    """Deletes interactions, and records of what was shown, that are older than settings keep them."""
    privacy.delete_old_interactions()
    attribution.forget()
