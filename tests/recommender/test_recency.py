"""How much the newest is to count: more where the next thing goes with it, alike where nobody can tell."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from recsvc.recommender.examples import Examples, History
from recsvc.recommender.judging import Jury
from recsvc.recommender.recency import choose_recency, with_recency

USERS, SERIES, LENGTH, READ = 200, 12, 10, 3


def readers(labelled) -> tuple[Examples, list[list[int]], list[int]]:
    """Each reads one series after another; what they read, newest first, and the next volume."""
    random = np.random.default_rng(3)
    likes, read, following = np.zeros((USERS, SERIES * LENGTH), np.float32), [], []
    for user in range(USERS):
        order = [
            series * LENGTH + volume
            for series in random.choice(SERIES, 5, replace=False)
            for volume in np.sort(random.choice(LENGTH, READ + 1, replace=False))
        ]
        likes[user, order[:-1]] = 1
        read.append([int(item) for item in reversed(order[:-1])])
        following.append(int(order[-1]))
    strengths = sparse.csr_array(likes)
    features = labelled(likes.shape[1], {}), labelled(USERS, {})
    examples = Examples(strengths, np.zeros(strengths.nnz, np.float32), *features, seed=1, threads=1)
    return examples, read, following


def jury_of(read, following) -> Jury:
    histories = [History(np.array(items), np.ones(len(items), np.float32)) for items in read]
    return Jury(histories, [np.array([item]) for item in following])


def test_where_the_next_thing_goes_with_the_newest_it_counts_more(labelled):
    examples, read, following = readers(labelled)

    assert choose_recency(examples, jury_of(read, following), lambda: None) > 0


@pytest.mark.parametrize("seed", range(5))
def test_where_the_order_is_made_by_chance_all_count_alike(labelled, seed):
    examples, read, following = readers(labelled)
    random = np.random.default_rng(seed)
    shuffled = [random.permutation(items).tolist() for items in read]

    assert choose_recency(examples, jury_of(shuffled, following), lambda: None) == 0


def test_where_the_next_thing_goes_with_the_oldest_all_count_alike(labelled):
    examples, read, following = readers(labelled)

    assert choose_recency(examples, jury_of([items[::-1] for items in read], following), lambda: None) == 0


def test_whoever_is_told_of_looks_can_end_the_search(labelled):
    def stop() -> None:
        raise KeyboardInterrupt

    examples, read, following = readers(labelled)

    with pytest.raises(KeyboardInterrupt):
        choose_recency(examples, jury_of(read, following), stop)


def test_a_jury_keeps_all_but_how_much_the_newest_counts():
    jury = jury_of([[3, 1]], [2])

    recent = with_recency(jury, 0.5)

    assert [history.recency for history in recent.histories] == [0.5]
    assert recent.histories[0].indexes.tolist() == [3, 1]
    assert recent.relevant is jury.relevant
