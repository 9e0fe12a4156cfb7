"""The calls that an admin's key may make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from recsvc.client.results import ModelVersion, TrainingRequested, TrainingRun, entry_of, result_of
from recsvc.client.transport import Transport, part, said


class AdminCalls(Transport):
    """Trainings, model versions, and the state of the service."""

    def train(self, *, force: bool = False, reason: str | None = None) -> TrainingRequested:
        """Asks for a training, which takes minutes; where one is under way, that one is told.

        Args:
            force: Whether the new model is to be served whatever the gate says of it.
            reason: Kept with the run.
        """
        body = said(force=force, reason=reason)
        return result_of(TrainingRequested, self.call("POST", "/recommendations/train", body=body))

    def list_training_runs(self, *, status: str | None = None) -> Iterator[TrainingRun]:
        """Training runs, newest first, read a page at a time."""
        return self.pages(TrainingRun, "/training-runs", "training_runs", status=status)

    def get_training_run(self, run_id: str) -> TrainingRun:
        """Shows a training run, its progress among the rest."""
        return result_of(TrainingRun, self.call("GET", f"/training-runs/{part(run_id)}"))

    def cancel_training_run(self, run_id: str) -> TrainingRun:
        """Ends a run before it is done; the active version stays."""
        return result_of(TrainingRun, self.call("POST", f"/training-runs/{part(run_id)}/cancel"))

    def list_model_versions(self) -> list[ModelVersion]:
        """All model versions, the newest first."""
        answer = self.call("GET", "/model-versions")
        return [result_of(ModelVersion, told) for told in entry_of(answer, "model_versions")]

    def get_model_version(self, version: str) -> ModelVersion:
        """Shows a model version."""
        return result_of(ModelVersion, self.call("GET", f"/model-versions/{part(version)}"))

    def activate_model_version(self, version: str) -> ModelVersion:
        """Rolls forward or back."""
        return result_of(ModelVersion, self.call("POST", f"/model-versions/{part(version)}/activate"))

    def get_status(self) -> dict[str, Any]:
        """How much data there is, what is served and why, when the next run is, and what came of lists."""
        status: dict[str, Any] = self.call("GET", "/status")
        return status
