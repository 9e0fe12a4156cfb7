"""Jobs that keep things in order."""

from __future__ import annotations

from jobs.context import in_application
from recsvc.services import attribution, figures, privacy, registry, stock, training
from recsvc.services.importing import uploads


@in_application
def sweep_runs() -> None:
    """Sees to runs and uploads that nobody works on any more, and records what the store says is active."""
    training.sweep()
    registry.reconcile()
    uploads.sweep()


@in_application
def count_stock() -> None:
    """Counts a large shop, so that whoever asks for its status need not wait."""
    stock.keep()
    figures.keep()


@in_application
def delete_old_data() -> None:
    """Deletes interactions, and records of what was shown, that are older than settings keep them."""
    privacy.delete_old_interactions()
    attribution.forget()
