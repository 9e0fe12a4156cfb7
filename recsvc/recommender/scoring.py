"""What a fitted model says of items for a history: its voices, blended, and what each of them adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender import kernels
from recsvc.recommender.blend import Blend
from recsvc.recommender.examples import History
from recsvc.recommender.factors import FactorVoice, FoldedInOpinion
from recsvc.recommender.features import weighted_sum
from recsvc.recommender.keys import locate
from recsvc.recommender.newcomers import Newcomers
from recsvc.recommender.voice import Opinion, Voice, checked
from recsvc.recommender.voices import voices as known_voices
from recsvc.recommender.voices.lightfm import LightFMHybrid


@dataclass(frozen=True)
class Prepared:
    """What a model makes of a history before it looks at any item.

    Attributes:
        history: Of a user, with what is newest in it counting as the blend has it.
        newcomers: As `introduce` gave them.
        weights: float64, shape (voices,).
        opinions: Of each voice, by its name; none where nothing is known of the user.
    """

    history: History
    newcomers: Newcomers
    weights: NDArray[np.float64]
    opinions: Mapping[str, Opinion]

    @property
    def of_hybrid(self) -> FoldedInOpinion | None:
        """That of the voice that speaks of features; None where there is none."""
        opinion = self.opinions.get(LightFMHybrid.name)
        return opinion if isinstance(opinion, FoldedInOpinion) else None


@dataclass(frozen=True)
class Terms:
    """What scores of items are made of. h items in the history.

    Attributes:
        by_history: float32, shape (h, c): what each item of the history adds.
        by_features: float32, shape (features, c): what each of the user's features adds.
        of_voices: float32, shape (h, hot items): what each item of the history adds to each voice's score of
            those items that somebody likes.
    """

    by_history: NDArray[np.float32]
    by_features: NDArray[np.float32]
    of_voices: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Scoring:
    """A fitted model: what it says of items for a history. n items.

    Attributes:
        item_keys: int32, shape (n,), ascending; `item_index` is a position here.
        likes: int32, shape (n,): how many users like each item.
        item_feature_keys: int32, shape (f,), ascending.
        user_feature_keys: int32, shape (g,), ascending.
        voices: In the order of their names.
        blend: Their weights.
    """

    item_keys: NDArray[np.int32]
    likes: NDArray[np.int32]
    item_feature_keys: NDArray[np.int32]
    user_feature_keys: NDArray[np.int32]
    voices: Mapping[str, Voice]
    blend: Blend

    def __len__(self) -> int:
        return len(self.item_keys)

    @cached_property
    def is_hot(self) -> NDArray[np.bool_]:
        """Which items anybody likes, shape (n,)."""
        return self.likes > 0

    @cached_property
    def hybrid(self) -> LightFMHybrid | None:
        """The voice that speaks of features; None where it was not fitted."""
        voice = self.voices.get(LightFMHybrid.name)
        return voice if isinstance(voice, LightFMHybrid) else None

    @cached_property
    def newcomers(self) -> Newcomers:
        """The model's own items that nobody likes yet."""
        return Newcomers.of_model(np.flatnonzero(~self.is_hot), self.hybrid)

    def foretell(self, features_of: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """What the features of items that came after the model foretell: embeddings and biases of LightFM.

        Args:
            features_of: Feature keys of each item.

        Returns:
            float32, shape (items, d + 1); shape (items, 1) where there is no such voice.
        """
        hybrid = self.hybrid
        if hybrid is None or not features_of:
            return np.empty((len(features_of), self.newcomers.later.shape[1]), np.float32)
        added = (weighted_sum(self.item_feature_keys, hybrid.item_features, keys)[0] for keys in features_of)
        return np.stack([hybrid.mean_item + of_item for of_item in added])

    def introduce(self, foretold: NDArray[np.float32]) -> Newcomers:
        """The model's newcomers, and items that came after it.

        Args:
            foretold: What `foretell` gave for each item that came after the model, in the order of their
                indexes, which follow those of the model.
        """
        later = np.arange(len(self), len(self) + len(foretold))
        return self.newcomers.and_later(later, foretold) if len(foretold) else self.newcomers

    def is_cold(self, item: int) -> bool:
        """Whether nobody liked an item when the model was fitted."""
        return item >= len(self) or not self.is_hot[item]

    def cold_among(self, items: NDArray[np.intp]) -> NDArray[np.intp]:
        """Places among some items, shape (c,), of those that nobody liked when the model was fitted."""
        return kernels.cold(self.likes, items)

    def knows_user(self, history: History) -> bool:
        """Whether anything can be said of a user beyond what is popular."""
        return history.liked > 0 or (self.hybrid is not None and len(history.features) > 0)

    def with_recency(self, history: History) -> History:
        """The history as voices are asked about it: what is newest in it counts as the blend has it."""
        if history.recency == self.blend.recency:
            return history
        return replace(history, recency=self.blend.recency)

    def prepare(self, history: History, newcomers: Newcomers | None = None) -> Prepared:
        """Asks every voice what it makes of a history.

        Args:
            history: Of a user.
            newcomers: As `introduce` gave them; the model's own where not given.
        """
        history = self.with_recency(history)
        voices = self.voices if self.knows_user(history) else {}
        return Prepared(
            history,
            newcomers or self.newcomers,
            self.blend.at(history.liked),
            {name: voice.opinion(history) for name, voice in voices.items()},
        )

    def scores(self, prepared: Prepared, items: NDArray[np.intp]) -> NDArray[np.float32]:
        """The whole blend's scores of some items, float32, shape (c,)."""

        def of_cold(cold: NDArray[np.intp]) -> NDArray[np.float64]:
            vector = prepared.of_hybrid.vector if prepared.of_hybrid else None
            return self._cold_scores(cold, prepared.newcomers, prepared.weights, vector)

        def of_hot(hot: NDArray[np.intp]) -> NDArray[np.float32]:
            opinions = zip(prepared.opinions.values(), prepared.weights.tolist(), strict=True)
            scores = [opinion.score(hot)[None] if weight else None for opinion, weight in opinions]
            blended: NDArray[np.float32] = kernels.mixed(len(hot), prepared.weights[None], scores)[0]
            return blended

        return self._scored(items, of_hot, of_cold)

    def terms(self, prepared: Prepared, items: NDArray[np.intp]) -> Terms:
        """Takes the scores of some items, shape (c,), apart."""
        history, weights = prepared.history, prepared.weights
        by_features = np.zeros((len(history.features), len(items)), np.float32)
        are_hot, are_cold = self._apart(items)
        hot = items[are_hot]
        of_voices = {name: opinion.shares(hot) for name, opinion in prepared.opinions.items()}
        by_history = kernels.mixed(
            len(history.indexes) * len(hot),
            weights[None],
            [shares.reshape(1, -1) for shares in of_voices.values()],
        ).reshape(len(history.indexes), len(hot))
        if len(are_cold):
            alone, by_history = by_history, np.zeros((len(history.indexes), len(items)), np.float32)
            by_history[:, are_hot] = alone
        if self.hybrid is not None and prepared.of_hybrid is not None:
            features = self.hybrid.feature_parts(history)
            if len(features):
                weight = weights[list(self.voices).index(LightFMHybrid.name)]
                by_features[:, are_hot] = np.float32(weight) * self.hybrid.products(features, hot)
            # An item of which nothing is known has no score of its own: nothing adds to it.
            foretold = are_cold[prepared.newcomers.are_foretold(items[are_cold])]
            if len(foretold):
                weight = np.float32(weights @ self.blend.slopes)
                embeddings = prepared.newcomers.embeddings_of(items[foretold])
                by_history[:, foretold] = weight * (prepared.of_hybrid.parts @ embeddings.T)
                by_features[:, foretold] = weight * (features @ embeddings.T)
        return Terms(by_history, by_features, of_voices)

    def scores_without_each(
        self, prepared: Prepared, places: NDArray[np.intp], items: NDArray[np.intp], terms: Terms
    ) -> NDArray[np.float32]:
        """The whole blend's scores of some items, with one item left out of the history at a time.

        Args:
            prepared: Of a history.
            places: In the history, of the items to leave out, shape (p,).
            items: Item indexes, shape (c,).
            terms: Of these items.

        Returns:
            float32, shape (p, c); NaN without an item without which nothing is known of the user.
        """
        history = prepared.history
        is_liked = history.strengths[places] > 0
        weights = np.where(is_liked[:, None], self.blend.at(history.liked - 1), self.blend.at(history.liked))

        hybrid = prepared.of_hybrid
        # Found once, for the items that somebody likes and for those that nobody does.
        vectors = hybrid.vectors_without_each(places) if hybrid else None

        def of_voice(name: str, hot: NDArray[np.intp]) -> NDArray[np.float32]:
            opinion = prepared.opinions[name]
            if hybrid is not None and vectors is not None and opinion is hybrid:
                return hybrid.score_by(vectors, hot)
            return opinion.score_without_each(places, hot, terms.of_voices[name])

        def of_hot(hot: NDArray[np.intp]) -> NDArray[np.float32]:
            greatest = weights.max(axis=0, initial=0).tolist()
            voices = zip(prepared.opinions, greatest, strict=True)
            scores = [of_voice(name, hot) if most else None for name, most in voices]
            return kernels.mixed(len(hot), weights, scores)

        def of_cold(cold: NDArray[np.intp]) -> NDArray[np.float64]:
            return self._cold_scores(cold, prepared.newcomers, weights, vectors)

        scores = self._scored(items, of_hot, of_cold)
        if not (self.hybrid is not None and len(history.features)):
            scores[history.liked - is_liked == 0] = np.nan
        return scores

    def feature_terms(self, history: History, keys: Sequence[int]) -> NDArray[np.float32]:
        """What each feature of a cold item adds to its score, up to a factor; float32, shape (features,)."""
        places = locate(self.item_feature_keys, np.array(keys, np.int64))
        if self.hybrid is None or not len(self.item_feature_keys):
            return np.zeros(len(keys), np.float32)
        added = self.hybrid.item_features[places, :-1] @ self.hybrid.vector(history)
        return np.where(places >= 0, added, np.float32(0))

    def likeness_by_users(self, item: int, other: int) -> float:
        """How much of what makes two hot items alike comes of who likes both, and not of LightFM.

        LightFM's embeddings are made of features as well as of likes; the other voices know likes alone.

        Args:
            item: Item index.
            other: Item index.

        Returns:
            Part of the voices' positive shares, 0 to 1; 0 where none is positive.
        """
        history = History(np.array([item]), np.ones(1, np.float32))
        weights = self.blend.at(1).tolist()
        shares = {
            name: max(weight * float(voice.opinion(history).shares(np.array([other]))[0, 0]), 0.0)
            for (name, voice), weight in zip(self.voices.items(), weights, strict=True)
        }
        total = sum(shares.values())
        return 1 - shares.get(LightFMHybrid.name, 0.0) / total if total else 0.0

    def vectors(self, items: NDArray[np.intp], newcomers: Newcomers) -> NDArray[np.float32] | None:
        """What items are like: LightFM's embeddings, else those of another voice of factors.

        Args:
            items: Item indexes, shape (c,).
            newcomers: As `introduce` gave them.

        Returns:
            float32, shape (c, d), zeros where nothing is known; None where no voice has embeddings.
        """
        factors = self.hybrid or next(
            (voice for voice in self.voices.values() if isinstance(voice, FactorVoice)), None
        )
        if factors is None:
            return None
        vectors = np.zeros((len(items), factors.embeddings.shape[1]), np.float32)
        own = items < len(self)
        vectors[own] = factors.embeddings[items[own]]
        if self.hybrid is not None and not own.all():
            vectors[~own] = newcomers.embeddings_of(items[~own])
        return vectors

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Names to arrays, as a version's directory holds them; those of a voice begin with its name."""
        named = {
            "item_keys": self.item_keys,
            "likes": self.likes,
            "item_feature_keys": self.item_feature_keys,
            "user_feature_keys": self.user_feature_keys,
        }
        parts: dict[str, Voice | Blend] = {**self.voices, "blend": self.blend}
        return named | {
            f"{part}.{name}": array for part, owner in parts.items() for name, array in owner.arrays().items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Takes the arrays of a version as they were mapped.

        Raises:
            ValueError: One is missing, their shapes do not fit together, or a voice is not known here.
        """
        parts: dict[str, dict[str, NDArray[Any]]] = {}
        for name, array in arrays.items():
            part, _, rest = name.rpartition(".")
            parts.setdefault(part, {})[rest] = array
        items = len(parts.get("", {}).get("item_keys", ()))
        shapes = {
            "item_keys": (items,),
            "likes": (items,),
            "item_feature_keys": (-1,),
            "user_feature_keys": (-1,),
        }
        own = checked(parts.pop("", {}), shapes)
        blend = parts.pop("blend", {})
        unknown = parts.keys() - known_voices().keys()
        if unknown:
            raise ValueError(f"voices are not known: {', '.join(sorted(unknown))}")
        voices = {
            name: known_voices()[name].from_arrays(of_voice, items)
            for name, of_voice in sorted(parts.items())
        }
        return cls(**own, voices=voices, blend=Blend.from_arrays(blend, len(voices)))

    def _apart(self, items: NDArray[np.intp]) -> tuple[NDArray[np.intp] | slice, NDArray[np.intp]]:
        """Places of the items that somebody likes, and of the others."""
        cold = self.cold_among(items)
        return np.delete(np.arange(len(items)), cold) if len(cold) else slice(None), cold

    def _scored(
        self,
        items: NDArray[np.intp],
        of_hot: Callable[[NDArray[np.intp]], NDArray[np.float32]],
        of_cold: Callable[[NDArray[np.intp]], NDArray[np.float64]],
    ) -> NDArray[np.float32]:
        """Scores, shape (c,); for v variations of a history, (v, c).

        Args:
            items: Item indexes, shape (c,).
            of_hot: From items that somebody likes to their scores.
            of_cold: From items that nobody likes to their scores, NaN where nothing is known of them.
        """
        are_hot, are_cold = self._apart(items)
        scored = of_hot(items[are_hot])
        if not len(are_cold):
            return scored
        scores = np.empty((*scored.shape[:-1], len(items)))
        scores[..., are_hot] = scored
        scores[..., are_cold] = of_cold(items[are_cold])
        nameless = np.isnan(scores)
        if nameless.any():
            # Items of which nothing is known at all come last, and so fill a list that would be short.
            lowest = np.nanmin(scores, axis=-1, keepdims=True, initial=0.0)
            scores = np.where(nameless, lowest - 1, scores)
        return scores.astype(np.float32)

    def _cold_scores(
        self,
        items: NDArray[np.intp],
        newcomers: Newcomers,
        weights: NDArray[np.float64],
        vectors: NDArray[np.float32] | None,
    ) -> NDArray[np.float64]:
        """What the blend may expect of items that nobody likes, from what their features say; else NaN.

        Args:
            items: Their indexes, shape (c,).
            newcomers: As `introduce` gave them.
            weights: Shape (…, voices).
            vectors: LightFM's, shape (…, d); None where there is no such voice.
        """
        if vectors is None:
            return np.full((*weights.shape[:-1], len(items)), np.nan)
        of_hybrid, have_features = newcomers.score(items, vectors)
        slopes, offsets = weights @ self.blend.slopes, weights @ self.blend.offsets
        return np.where(have_features, of_hybrid * slopes[..., None] + offsets[..., None], np.nan)
