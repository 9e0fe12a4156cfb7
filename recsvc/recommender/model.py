"""How a list comes of a fitted model: candidates, the whole blend on them, the best of what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender.diversity import diverse, pool_size
from recsvc.recommender.examples import History
from recsvc.recommender.factors import FactorOpinion
from recsvc.recommender.kernels import best_places
from recsvc.recommender.keys import locate
from recsvc.recommender.newcomers import Newcomers
from recsvc.recommender.relations import RelatedOpinion, RelatedVoice
from recsvc.recommender.scoring import Prepared, Scoring
from recsvc.recommender.selection import Selection
from recsvc.recommender.voices.popularity import Popularity

_SCORED_WHOLE = 1_500  # so many items are scored without a search for candidates
_SCORED_WHOLE_IF_FEW = 50_000  # the same where few are related, which takes milliseconds
_RELATED = 200  # candidates related to the history; half of them are few
_FEW_RELATIONS = 2_000  # of a history's items: the best of the list may be beyond them
_VIA = 50  # items most related to the history, to see what is related to these
_POPULAR = 30
_COLD = 30
_COMPARED_AT_ONCE = 10_000


@dataclass(frozen=True)
class Model(Scoring):
    """What a web process maps and makes lists of."""

    @cached_property
    def popularity(self) -> NDArray[np.float32]:
        """How popular each item is, lately where that foretells better; float32, shape (n,)."""
        voice = self.voices.get(Popularity.name)
        return voice.scores if isinstance(voice, Popularity) else np.log1p(self.likes).astype(np.float32)

    @cached_property
    def popular_first(self) -> NDArray[np.intp]:
        """Item indexes, the most popular first, shape (n,)."""
        return np.argsort(-self.popularity, kind="stable")

    def recommend(
        self,
        history: History,
        k: int,
        selection: Selection,
        newcomers: Newcomers | None = None,
        *,
        diversity: float = 0.0,
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Ranks what a list may hold for a history; see `prepare` and `rank`."""
        return self.rank(self.prepare(history, newcomers), k, selection, diversity=diversity)

    def rank(
        self, prepared: Prepared, k: int, selection: Selection, *, diversity: float = 0.0
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Ranks what a list may hold, in two stages: candidates, and the whole blend on them.

        Args:
            prepared: Of a user; one of whom nothing is known gets what is popular.
            k: How many items.
            selection: What the list may hold.
            diversity: 0 to 1: how much items are to be unlike each other, see `diversity.diverse`.

        Returns:
            Item indexes, best first, as many as there are up to k; their scores.
        """
        newcomers = prepared.newcomers
        if not self.knows_user(prepared.history):
            return self.popular(k, selection, newcomers, diversity=diversity)
        candidates = self._candidates(k, selection, prepared)
        scores = self.scores(prepared, candidates)
        wanted = pool_size(k) if diversity else k
        chosen = selection.best(candidates, scores, wanted)
        if selection.groups is not None and len(chosen) < k:
            # Many candidates are of few groups: look at everything rather than give a short list.
            candidates = selection.everything()
            scores = self.scores(prepared, candidates)
            chosen = selection.best(candidates, scores, wanted)
        return self._spread(candidates[chosen], scores[chosen], k, newcomers, diversity)

    def popular(
        self,
        k: int,
        selection: Selection,
        newcomers: Newcomers | None = None,
        *,
        diversity: float = 0.0,
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Ranks what a list may hold by popularity; items that came after the model come last."""
        allowed = selection.everything()
        popularity = np.zeros(len(selection.recommendable), np.float32)
        popularity[: len(self)] = self.popularity
        scores = popularity[allowed]
        chosen = selection.best(allowed, scores, pool_size(k) if diversity else k)
        return self._spread(allowed[chosen], scores[chosen], k, newcomers or self.newcomers, diversity)

    def similar(
        self, item: int, k: int, selection: Selection, newcomers: Newcomers
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Ranks what a list may hold by how alike it is to an item.

        To an item that somebody likes: by what it alone, as a history, adds to scores. To a cold one: by the
        cosine of the embeddings that features foretell.

        Args:
            item: Item index.
            k: How many items.
            selection: What the list may hold.
            newcomers: As `introduce` gave them.

        Returns:
            Item indexes, best first, as many as there are up to k; their scores. None of them where nothing
            is known of the item, or of any but how popular it is.
        """
        nothing = np.empty(0, np.intp), np.empty(0, np.float32)
        if self.is_cold(item):
            place = int(locate(newcomers.indexes, np.array([item]))[0])
            if self.hybrid is None or place < 0 or not newcomers.has_features[place]:
                return nothing
            candidates = selection.everything()
            scores = self._cosines(candidates, item, newcomers)
        else:
            prepared = self._prepare_alone(item, newcomers)
            if prepared is None:
                return nothing
            candidates = self._candidates(k, selection, prepared)
            scores = self._likeness(prepared, candidates)
            if selection.groups is not None and len(selection.best(candidates, scores, k)) < k:
                candidates = selection.everything()
                scores = self._likeness(prepared, candidates)
        chosen = selection.best(candidates, scores, k)
        return candidates[chosen], scores[chosen]

    def _spread(
        self,
        items: NDArray[np.intp],
        scores: NDArray[np.float32],
        k: int,
        newcomers: Newcomers,
        diversity: float,
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        vectors = self.vectors(items, newcomers) if diversity else None
        if vectors is None:
            return items[:k], scores[:k]
        chosen = diverse(scores, vectors, k, diversity)
        return items[chosen], scores[chosen]

    def _prepare_alone(self, item: int, newcomers: Newcomers) -> Prepared | None:
        """What the model makes of an item as a whole history; None where no voice reads histories."""
        readers = [place for place, name in enumerate(self.voices) if name != Popularity.name]
        if not readers:
            return None
        prepared = self.prepare(History(np.array([item]), np.ones(1, np.float32)), newcomers)
        if prepared.weights[readers].any():
            return prepared
        # What foretells nothing of so short a history still says what is alike.
        voices = list(self.voices.values())
        chosen = next((place for place in readers if isinstance(voices[place], RelatedVoice)), readers[0])
        return replace(prepared, weights=np.eye(len(voices))[chosen])

    def _likeness(self, prepared: Prepared, items: NDArray[np.intp]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self.terms(prepared, items).by_history[0]
        cold = self.cold_among(items)
        nameless = cold if self.hybrid is None else cold[~prepared.newcomers.are_foretold(items[cold])]
        scores[nameless] = scores.min(initial=0.0) - 1
        return scores

    def _cosines(self, items: NDArray[np.intp], item: int, newcomers: Newcomers) -> NDArray[np.float32]:
        vector = newcomers.embeddings_of(np.array([item]))[0]
        cosines = np.zeros(len(items), np.float32)
        # A few at a time: the vectors of all would take four times as much memory as the model has for them.
        for begin in range(0, len(items), _COMPARED_AT_ONCE):
            some = items[begin : begin + _COMPARED_AT_ONCE]
            vectors = self.vectors(some, newcomers)
            assert vectors is not None
            lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(vector)
            place = cosines[begin : begin + len(some)]
            np.divide(vectors @ vector, lengths, out=place, where=lengths > 0)
        return cosines

    def _candidates(self, k: int, selection: Selection, prepared: Prepared) -> NDArray[np.intp]:
        choice = len(selection.recommendable) if selection.members is None else len(selection.members)
        relations = self._relations(prepared)
        if choice <= _SCORED_WHOLE or not relations:
            return selection.everything()
        others = [self.popular_first[: _POPULAR + k]]
        if prepared.of_hybrid is not None and len(prepared.newcomers.indexes):
            vector = prepared.of_hybrid.vector
            others.append(prepared.newcomers.best(vector, _COLD + k))
        wanted = max(_RELATED, 2 * k)
        near = _sum(relations)
        found, related = selection.nearest(near, np.concatenate(others), wanted)
        if 2 * related < wanted:
            return self._unrelated(found, wanted, selection, prepared)
        _, most_heard = relations[0]
        if related == wanted and most_heard.relations_read >= _FEW_RELATIONS:
            return found
        beyond = most_heard.relations.follow(near, _VIA)
        return selection.nearest(beyond, found, wanted)[0]

    def _unrelated(
        self, found: NDArray[np.intp], wanted: int, selection: Selection, prepared: Prepared
    ) -> NDArray[np.intp]:
        """Candidates where relations lead to few: everything, or what a voice of factors puts first."""
        allowed = selection.everything()
        heard = [
            opinion
            for opinion, weight in zip(prepared.opinions.values(), prepared.weights.tolist(), strict=True)
            if isinstance(opinion, FactorOpinion) and weight > 0
        ]
        if len(allowed) <= _SCORED_WHOLE_IF_FEW or not heard:
            return allowed
        # One of them, the shortest: each reads embeddings of the whole catalogue.
        quickest = min(heard, key=lambda opinion: len(opinion.vector))
        own = allowed[allowed < len(self)]
        foretold = own[best_places(quickest.score(own), wanted)]
        return np.union1d(found, foretold)

    def _relations(self, prepared: Prepared) -> list[tuple[float, RelatedOpinion]]:
        """Weights and opinions of voices that know what is related to a history, the most heard first."""
        of_voices = [
            (weight, opinion)
            for opinion, weight in zip(prepared.opinions.values(), prepared.weights.tolist(), strict=True)
            if isinstance(opinion, RelatedOpinion)
        ]
        of_voices.sort(key=lambda of_voice: -of_voice[0])
        # One voice alone finds candidates even where the blend gives it no weight.
        return [of_voice for of_voice in of_voices if of_voice[0] > 0] or of_voices[:1]


def _sum(relations: Sequence[tuple[float, RelatedOpinion]]) -> NDArray[np.float32]:
    """How much each item is related to a history, shape (n,)."""
    if len(relations) == 1:
        return relations[0][1].near
    near: NDArray[np.float32] = np.sum(
        [np.float32(weight) * opinion.near for weight, opinion in relations], axis=0
    )
    return near
