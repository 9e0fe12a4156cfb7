"""LightFM's hybrid of identities and features: the one voice that speaks of cold items and cold users."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recsvc.recommender.examples import Examples, History
from recsvc.recommender.factors import FoldedInVoice
from recsvc.recommender.fold_in import Numbers, Systems
from recsvc.recommender.lightfm_model import Fitting, LightFMParameters, fit_by_epoch
from recsvc.recommender.one_byte import OneByteRows, rounded
from recsvc.recommender.voice import Arrays, OnProgress, Parameters, checked

# Fold-in's constants were chosen on validation splits of a sparse and a dense data set; each is a plateau,
# not a peak. See docs/adr/0005.
_OBSERVED_SHARE = 1e-3  # weight of one history item beside the mean of all items
_RIDGE = 0.75  # penalty, in units of the mean square of an embedding's component
_RIDGE_OF_ONE = 5.0  # added to it for a history of one item, and less for longer ones
_MEAN_SCORE = 4.0  # what the history itself is made to score, before biases
_DISLIKED_WEIGHT = 0.3
_FEATURES_AS_ITEMS = 3.0  # as how many history items a user's features count

_ROWS_A_COMPONENT = 16  # users, or items where they are fewer
_FEWEST_COMPONENTS = 8
_EPOCHS_UNTOLD = 10  # where too little can be held out to tell
_PATIENCE = 2  # looks without a gain
_FEATURE_PENALTY = 10.0  # as how many items liked once the prior on a feature counts
_RIDGE_ITERATIONS = 25


@dataclass(frozen=True)
class LightFMHybrid(FoldedInVoice):
    """LightFM (Kula 2015) with WARP loss (Weston, Bengio and Usunier 2011), users folded in.

    What LightFM learned of an item without any interaction is how it was pushed down as a negative; so such
    an item gets the embedding that a ridge regression on its features foretells, learned from the others.
    Embeddings are rotated so that Σ q qᵀ is diagonal, which changes no product.

    Attributes:
        embeddings: Shape (n, d).
        biases: float32, shape (n,).
        spectrum: float32, shape (d,): mean squares of the embeddings' components.
        mean_item: float32, shape (d + 1,): embedding and bias of an item of which nothing is known.
        item_features: float32, shape (f, d + 1): what a feature adds to them.
        user_features: float32, shape (g, d): what a feature adds to a user's vector.
        mean_user: float32, shape (d,): the vector of a user of whom nothing is known.
        estimator: The pickled LightFM estimator; empty where it is not at hand.
    """

    name = "lightfm"
    speaks_of_cold = True

    biases: NDArray[np.float32]
    spectrum: NDArray[np.float32]
    mean_item: NDArray[np.float32]
    item_features: NDArray[np.float32]
    user_features: NDArray[np.float32]
    mean_user: NDArray[np.float32]
    estimator: bytes = field(default=b"", repr=False)

    @classmethod
    def choose(
        cls,
        examples: Examples,
        judge: Callable[[Self], float] | None,
        limits: Parameters,
        on_progress: OnProgress,
    ) -> tuple[Self, Parameters] | None:
        """Looks at ever longer steps whether more is foretold, and stops when it is not."""
        supported = min(examples.strengths.shape) // _ROWS_A_COMPONENT
        parameters = {
            "components": min(limits["components"], max(supported, _FEWEST_COMPONENTS)),
            "epochs": limits["epochs"],
            "learning_rate": limits["learning_rate"],
            "alpha": limits["alpha"],
            "max_sampled": limits["max_sampled"],
        }
        if judge is None:
            parameters["epochs"] = min(_EPOCHS_UNTOLD, parameters["epochs"])
            return cls.fit(examples, parameters, on_progress), parameters
        best: tuple[float, Self, Parameters] | None = None
        looks_without_gain, next_look = 0, 2
        for epoch, present in enumerate(_fit(examples, parameters), start=1):
            on_progress(epoch / parameters["epochs"])
            if epoch < next_look and epoch < parameters["epochs"]:
                continue
            next_look = epoch + max(1, epoch // 4)
            voice = cls._of(examples, present)
            quality = judge(voice)
            if best is None or quality > best[0]:
                best, looks_without_gain = (quality, voice, {**parameters, "epochs": epoch}), 0
            else:
                looks_without_gain += 1
            if looks_without_gain == _PATIENCE:
                break
        assert best is not None
        return best[1], best[2]

    @classmethod
    def fit(cls, examples: Examples, parameters: Parameters, on_progress: OnProgress) -> Self:
        """Fits for as many epochs as the parameters say.

        Raises:
            ValueError: The fit diverged: an embedding is not finite.
        """
        for epoch, present in enumerate(_fit(examples, parameters), start=1):
            on_progress(epoch / parameters["epochs"])
            if epoch == parameters["epochs"]:
                return cls._of(examples, present, estimator=present.pickled())
        raise ValueError("a fit needs at least one epoch")

    @classmethod
    def _of(cls, examples: Examples, fitting: Fitting, estimator: bytes = b"") -> Self:
        learned = fitting.factors()
        known = np.column_stack([learned.item_embeddings, learned.item_biases])
        mean_item, item_features = _foretell(examples, known)
        is_cold = examples.counts == 0
        known[is_cold] = mean_item + examples.item_features.rows[is_cold] @ item_features
        squares, rotation = np.linalg.eigh(known[:, :-1].T.astype(np.float64) @ known[:, :-1])
        turn = rotation.astype(np.float32)

        def turned(rows: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.concatenate([rows[..., :-1] @ turn, rows[..., -1:]], axis=-1)

        known, mean_item, item_features = turned(known), turned(mean_item), turned(item_features)
        # Once more, so that an item without features is exactly the mean.
        known[is_cold] = mean_item + examples.item_features.rows[is_cold] @ item_features
        return cls(
            embeddings=np.ascontiguousarray(known[:, :-1]),
            biases=known[:, -1].copy(),
            spectrum=(np.maximum(squares, 0) / len(known)).astype(np.float32),
            mean_item=mean_item,
            item_features=item_features,
            user_features=learned.user_feature_embeddings @ turn,
            mean_user=learned.mean_user @ turn,
            estimator=estimator,
        )

    def systems(self, history: History, left_out: Sequence[float]) -> Systems:
        """What is solved: the history's items are wanted by their strengths, disliked ones at 0.

        Penalties are relative to the embeddings' size, so that one set of constants serves every model. WARP
        fixes no scale of scores, while item biases are learned on one: so the history's mean score, weighted
        by how much each item is wanted, is made `_MEAN_SCORE`, on which full biases fit. The more is liked,
        the less a user's features count.
        """
        numbers = [self._numbers(history, without) for without in left_out]
        return Systems(history.strengths, self.spectrum, numbers)

    def _numbers(self, history: History, without: float) -> Numbers:
        """Of a system, for a history without an item of some strength."""
        liked, left_out = history.liked - (without > 0), max(without, 0.0)
        of_all, squares_of_all = history.sums
        total, squares = (of_all - left_out, squares_of_all - left_out**2) if liked else (0.0, 1.0)
        positive = total or 1.0
        ridge = _RIDGE + _RIDGE_OF_ONE * squares / positive**2  # by the effective length
        share = liked / (liked + _FEATURES_AS_ITEMS) if len(history.features) else 1.0
        return Numbers(
            wanting=1.0,
            counting=_OBSERVED_SHARE * liked / positive,
            unobserved=0.0,
            disliked=_DISLIKED_WEIGHT / positive,
            ridge=ridge * self._mean_square,
            score=share * _MEAN_SCORE,
        )

    @cached_property
    def _mean_square(self) -> float:
        return float(self.spectrum.mean())

    def feature_parts(self, history: History) -> NDArray[np.float32]:
        """What each of the user's features adds to their vector, float32, shape (features, d)."""
        if not len(history.features):
            return np.zeros((0, self.embeddings.shape[1]), np.float32)
        share = _FEATURES_AS_ITEMS / (history.liked + _FEATURES_AS_ITEMS)
        weight = np.float32(share / np.sqrt(len(history.features)))
        parts: NDArray[np.float32] = self.user_features[history.features] * weight
        return parts

    def completed(
        self, vectors: NDArray[np.float32], history: History, liked: int | NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Adds what the user's features say; all that is known of somebody who likes nothing."""
        # As a rule no component is 0, and so no vector is nothing: that is quickly told.
        if not len(history.features) and vectors.all():
            return vectors
        lacks = len(history.features) > 0 or ~vectors.any(axis=-1, keepdims=True)
        share = _FEATURES_AS_ITEMS / (liked + _FEATURES_AS_ITEMS)
        of_features = self.user_features[history.features].sum(axis=0)
        of_features = of_features / np.sqrt(max(len(history.features), 1)) + self.mean_user
        return vectors + np.where(lacks, share * of_features, 0).astype(np.float32)

    def finish(self, scores: NDArray[np.float32], items: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Adds the items' biases."""
        return scores + self.biases[items]

    def served(self) -> Self:
        """The voice with rounded embeddings."""
        if isinstance(self.embeddings, OneByteRows):
            return self
        # Rounded like the items', so that an item without features still is exactly the mean.
        mean_embedding = rounded(self.mean_item[None, :-1])[slice(None)][0]
        mean_item = np.append(mean_embedding, self.mean_item[-1])
        return replace(super().served(), mean_item=mean_item)

    def arrays(self) -> Arrays:
        """What has to be kept."""
        return {
            **rounded(self.embeddings).arrays(),
            "biases": self.biases,
            "spectrum": self.spectrum,
            "mean_item": self.served().mean_item,
            "item_features": self.item_features,
            "user_features": self.user_features,
            "mean_user": self.mean_user,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], items: int) -> Self:
        """Takes mapped arrays."""
        embeddings = OneByteRows.from_arrays(arrays, items)
        length = embeddings.shape[1]
        shapes = {
            "biases": (items,),
            "spectrum": (length,),
            "mean_item": (length + 1,),
            "item_features": (-1, length + 1),
            "user_features": (-1, length),
            "mean_user": (length,),
        }
        found: dict[str, Any] = dict(checked(arrays, shapes))
        return cls(embeddings, **found)


def _fit(examples: Examples, parameters: Parameters) -> Iterator[Fitting]:
    fittings = fit_by_epoch(
        examples.strengths,
        examples.item_features,
        examples.user_features,
        LightFMParameters(**parameters, seed=examples.seed, threads=examples.threads),
    )
    for epoch, present in enumerate(fittings, start=1):
        examples.on_epoch(epoch)
        yield present


def _foretell(
    examples: Examples, known: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Ridge regression of embeddings and biases on features, over items that somebody likes.

    An item counts by the root of how many like it, by which its embedding is known better. Conjugate
    gradients (Hestenes and Stiefel 1952), all columns at once, so that any number of features will do.
    """
    hot = np.flatnonzero(examples.counts)
    weights = np.sqrt(examples.counts[hot]).astype(np.float32)
    mean: NDArray[np.float32] = (weights @ known[hot] / weights.sum()).astype(np.float32)
    rows = examples.item_features.rows[hot]
    weighted = sparse.csr_array(rows.multiply(weights[:, None]).T)
    residual = weighted @ (known[hot] - mean)
    solution = np.zeros_like(residual)
    direction, square = residual.copy(), np.square(residual).sum(axis=0)
    for _ in range(_RIDGE_ITERATIONS):
        if not square.any():
            break
        image = weighted @ (rows @ direction) + _FEATURE_PENALTY * direction
        step = square / np.maximum((direction * image).sum(axis=0), np.finfo(np.float32).tiny)
        solution += step * direction
        residual -= step * image
        previous, square = square, np.square(residual).sum(axis=0)
        direction = residual + square / np.maximum(previous, np.finfo(np.float32).tiny) * direction
    return mean, solution
