"""The search for limits: what is suggested, on whom it is tried, and what is fitted again."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender import search
from recsvc.recommender.interactions import InteractionMatrix
from recsvc.recommender.search import SPACE, Sampler, judge, lay_out, lay_out_alike, overlay, try_out
from recsvc.recommender.split import HeldOut

VOICES = ("item_weights", "neighbours", "popularity")


@pytest.fixture(scope="session")
def split(shop):
    """The made-up shop as a matrix, and two items held out of each of 100 users."""
    matrix = InteractionMatrix(
        np.arange(300, dtype=np.int32), np.arange(290, dtype=np.int32), shop.strengths, shop.ages
    )
    rest = shop.strengths.tolil()
    users = np.arange(0, 300, 3)
    relevant = [shop.strengths[[user]].indices[-2:].astype(np.intp) for user in users]
    for user, items in zip(users, relevant, strict=True):
        rest[user, items] = 0
    return matrix, HeldOut(rest.tocsr(), users, relevant)


@pytest.fixture(scope="session")
def ground(split, shop):
    matrix, held_out = split
    return lay_out(matrix, shop, held_out)


def limits(**more):
    return dict.fromkeys(VOICES, {"neighbours": 50} | more)


def test_who_compares_has_chosen_nothing_and_who_judges_has_done_neither(ground, split):
    shown, compared, judged = (
        set(part.user_indexes.tolist()) for part in (ground.shown, ground.compared, ground.judged)
    )

    assert (len(shown), len(compared), len(judged)) == (33, 33, 34)
    assert shown | compared | judged == set(split[1].user_indexes.tolist())


def test_many_users_judge_and_no_more_compare_than_every_trial_is_worth(split, shop, monkeypatch):
    monkeypatch.setattr(search, "_MOST_USERS", 20)

    ground = lay_out(split[0], shop, split[1])

    parts = ground.shown, ground.compared, ground.judged
    assert [len(part.user_indexes) for part in parts] == [20, 20, 60]


@pytest.mark.parametrize("known", [(0, 90), (10, 100)])
def test_who_has_compared_does_not_judge_when_other_users_come_and_go(ground, split, shop, known):
    matrix, held_out = split

    later = lay_out(matrix, shop, held_out.of(np.arange(*known)))

    compared, judged = set(ground.compared.user_indexes), set(later.judged.user_indexes)
    assert not compared & judged
    assert len(judged & set(ground.judged.user_indexes)) >= 20  # 3 and some would be new to it by chance


def test_who_judges_judges_the_model_of_a_trial(ground):
    tried = try_out(ground, {}, limits(), None, lambda: None)

    found = judge(tried)

    assert found.shape == (34,)
    alone = replace(tried, ground=replace(ground, judged=ground.compared))
    assert judge(alone).tolist() == tried.ndcg.tolist()


def test_another_half_life_is_tried_on_the_same_users_and_items(ground, split, shop):
    matrix = InteractionMatrix(
        split[0].user_keys, split[0].item_keys, (shop.strengths * np.float32(0.5)).tocsr(), shop.ages
    )

    alike = lay_out_alike(matrix, shop, ground)

    assert alike.compared.user_indexes.tolist() == ground.compared.user_indexes.tolist()
    assert alike.compared.relevant is ground.compared.relevant
    assert alike.judged.user_indexes.tolist() == ground.judged.user_indexes.tolist()
    rest = ground.shown.strengths
    assert (alike.shown.strengths != rest * np.float32(0.5)).nnz == 0
    assert np.array_equal(alike.shown.strengths.indices, rest.indices)


def test_histories_are_as_a_version_of_that_half_life_would_serve_them(ground, split, shop):
    """Newest first still; what is not liked by that half-life is not in them, even if nothing is left."""
    compared = replace(ground.compared, histories=backwards(ground.compared.histories))
    before = [compared.histories[[place]] for place in range(3)]
    first, second, third = compared.user_indexes[:3].tolist()
    dense = shop.strengths.toarray() * np.float32(0.5)
    dense[first, before[0].indices[1]] = 0
    dense[second] = 0
    faded = sparse.csr_array(dense)

    alike = lay_out_alike(
        replace(split[0], strengths=faded), shop, replace(ground, compared=compared)
    ).compared.histories

    assert alike[[0]].indices.tolist() == np.delete(before[0].indices, 1).tolist()
    assert alike[[1]].nnz == 0
    assert alike[[2]].indices.tolist() == before[2].indices.tolist() != sorted(before[2].indices)
    assert alike[[2]].data.tolist() == dense[third, before[2].indices].tolist()


def backwards(rows):
    """The same rows, each of which begins where it ended."""
    order = np.concatenate([np.arange(begin, end)[::-1] for begin, end in pairwise(rows.indptr.tolist())])
    return sparse.csr_array((rows.data[order], rows.indices[order], rows.indptr), shape=rows.shape)


def test_a_history_of_which_nothing_is_left_is_no_obstacle(ground):
    empty = sparse.csr_array(ground.shown.histories.shape, dtype=np.float32)
    shown, compared = (replace(part, histories=empty) for part in (ground.shown, ground.compared))

    tried = try_out(replace(ground, shown=shown, compared=compared), {}, limits(), None, lambda: None)

    assert 0 <= tried.quality < 1


def test_only_voices_whose_limits_changed_are_fitted_again(ground):
    first = try_out(ground, {}, limits(), None, lambda: None)
    changed = limits() | {"neighbours": {"neighbours": 7}}

    second = try_out(ground, {}, changed, first, lambda: None)

    assert {name for name in VOICES if second.voices[name] is not first.voices[name]} == {"neighbours"}
    assert first.ndcg.shape == second.ndcg.shape == (33,)
    assert 0.05 < first.quality < 1


def test_what_was_fitted_before_gives_the_same_as_if_it_were_fitted_anew(ground):
    first = try_out(ground, {}, limits(), None, lambda: None)

    again = try_out(ground, {}, limits(), first, lambda: None)

    assert again.ndcg.tolist() == first.ndcg.tolist()


def test_nothing_is_taken_over_from_another_ground(ground, split, shop):
    first = try_out(ground, {}, limits(), None, lambda: None)
    other = lay_out(split[0], shop, split[1])

    second = try_out(other, {}, limits(), first, lambda: None)

    assert all(second.voices[name] is not first.voices[name] for name in VOICES)


def test_a_voice_that_does_not_suit_the_data_is_silent(ground):
    als = {"als": {"neighbours": 50, "factors": 1}}  # no number of components is so small

    tried = try_out(ground, {}, limits() | als, None, lambda: None)

    assert tried.voices["als"] is None
    assert tried.ndcg.tolist() == try_out(ground, {}, limits(), None, lambda: None).ndcg.tolist()


def test_parameters_reach_the_voices_that_read_them():
    over = overlay(limits(alpha=0.1), {"neighbours": 400, "alpha": 0.5, "half_life_days": 30.0})

    assert over["neighbours"] == over["item_weights"] == {"neighbours": 400, "alpha": 0.1}
    assert over["popularity"] == {"neighbours": 50, "alpha": 0.1}


@pytest.mark.parametrize("turn", ["als", "neighbours", "lightfm", "half_life"])
def test_what_is_suggested_is_of_the_space_and_of_the_turn(turn):
    entries = {entry.name: entry for entry in SPACE if entry.turn == turn}
    sampler = Sampler(SPACE, 1, [])

    for gain in range(30):
        suggested = sampler.ask(turn)
        sampler.tell(gain if gain % 5 else None)

        assert suggested.keys() == entries.keys()
        assert all(entries[name].holds(value) for name, value in suggested.items())


def test_earlier_trials_are_learned_from():
    earlier = [({"neighbours": choice}, float(choice == 400)) for choice in (50, 100, 200, 400, 800) * 6]
    sampler = Sampler(SPACE, 1, earlier)

    suggested = []
    for _ in range(40):
        suggested.append(sampler.ask("neighbours")["neighbours"])
        sampler.tell(float(suggested[-1] == 400))

    assert suggested.count(400) > 20
