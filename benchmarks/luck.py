"""How often a tuning is taken in by the luckiest of its trials, and how often it finds what is better.

    python -m benchmarks.luck [--gain GAIN] [--draws N] [--seed N] [--json]

Nothing is fitted: a trial's NDCG@20 differs from that of the settings by normal noise of 0.05 with three
users of five, the settings' own luck among it. Three rules are compared, for shops of several sizes: to
judge the best by the users that chose it, by a 95 % interval; by them, by an interval that is as much wider
as there are trials (Bonferroni); and by users set apart, as `recsvc tune` does. Luck is the share of tunings
that put something in force where no trial is better; found the share that puts in force one that is, where a
fifth of the trials is.

Then tunings of a week each, of one set of parameters: in what share of weeks it is in force, where it leaves
once it is worse for sure, and where it leaves once it is no better. Its gain is in deviations of what judges
say of it; a part of a week's luck is that of the week before.
"""

from __future__ import annotations

import argparse
import json
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

RULES = ("by those that chose", "Bonferroni", "by others")
_USERS = 60, 300, 1_000, 2_000, 5_000  # that something can be held out of
_TRIALS = 9, 25, 60
_MOST = 1_000  # that compare
_GAINS = 0.0, 1.0, 2.0  # deviations
_STAYING = 0.0, 0.5, 0.9
_WEEKS = 520
_SHARE = 0.2  # of trials that are better


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gain", type=float, default=0.01, help="Of trials that are better, in NDCG@20.")
    parser.add_argument("--draws", type=int, default=1_000, help="Tunings of each kind.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    rows = [
        {"users": users, "trials": trials} | _compare(users, trials, arguments.gain, arguments.draws, random)
        for users in _USERS
        for trials in _TRIALS
    ]
    weeks = [
        {"gain": gain, "staying": staying} | _go_on(gain, staying, arguments.draws, random)
        for gain in _GAINS
        for staying in _STAYING
    ]
    if arguments.json:
        print(json.dumps({"tunings": rows, "weeks": weeks}, indent=2))
    else:
        print(f"{_table(rows)}\n\n{_table_of_weeks(weeks)}")


def _compare(users: int, trials: int, gain: float, draws: int, random: np.random.Generator) -> dict[str, Any]:
    luck, found = np.zeros((2, len(RULES)))
    for _ in range(draws):
        luck += _decide(users, np.zeros(trials), random) >= 0
        true = np.where(random.random(trials) < _SHARE, gain, 0.0)
        kept = _decide(users, true, random)
        found += (kept >= 0) & (true[kept] > 0)
    return {
        "luck": dict(zip(RULES, (luck / draws).round(3).tolist(), strict=True)),
        "found": dict(zip(RULES, (found / draws).round(3).tolist(), strict=True)),
    }


def _decide(users: int, true: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.intp]:
    """Which trial each rule puts in force; -1 for none. All have the same held-out users to make do with."""
    half, third = min(users // 2, _MOST), min(users // 3, _MOST)
    seen = _noise(random, len(true), half) - _noise(random, half) + true[:, None]
    kept = []
    for level in (0.95, 1 - 0.05 / len(true)):
        best = int(seen.mean(axis=1).argmax())
        kept.append(best if _is_sure(seen[best], level) else -1)
    best = int(seen[:, :third].mean(axis=1).argmax())
    others = users - 2 * third
    judged = _noise(random, others) - _noise(random, others) + true[best]
    kept.append(best if _is_sure(judged, 0.95) else -1)
    return np.array(kept, np.intp)


def _noise(random: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    return random.normal(0.0, 0.05, shape) * (random.random(shape) < 0.6)


def _is_sure(gains: NDArray[np.float64], level: float) -> bool:
    # A bootstrap's percentiles come to about the same, and for Bonferroni's it would take 100,000 draws.
    deviations = NormalDist().inv_cdf((1 + level) / 2)
    return bool(gains.mean() > deviations * gains.std(ddof=1) / np.sqrt(len(gains)))


def _go_on(gain: float, staying: float, draws: int, random: np.random.Generator) -> dict[str, float]:
    """Shares of weeks after the first year."""
    patient, strict = np.zeros((2, draws), dtype=bool)
    luck = random.normal(size=draws)
    shares = np.zeros(2)
    sure = NormalDist().inv_cdf(0.975)
    for week in range(_WEEKS):
        luck = staying * luck + np.sqrt(1 - staying**2) * random.normal(size=draws)
        told = gain + luck
        patient = (told > sure) | patient & (told >= -sure)
        strict = (told > sure) | strict & (told >= 0)
        if week >= 52:
            shares += patient.mean(), strict.mean()
    patient_share, strict_share = (shares / (_WEEKS - 52)).round(3).tolist()
    return {"surely worse": patient_share, "no better": strict_share}


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'users':>6}{'trials':>8}  {'luck: ' + ', '.join(RULES):<50}found"]
    for row in rows:
        luck, found = ("  ".join(f"{row[what][rule]:6.1%}" for rule in RULES) for what in ("luck", "found"))
        lines.append(f"{row['users']:>6}{row['trials']:>8}  {luck:<50}{found}")
    return "\n".join(lines)


def _table_of_weeks(rows: list[dict[str, float]]) -> str:
    lines = [f"{'gain':>6}{'luck that stays':>17}  in force, leaves once surely worse, once no better"]
    for row in rows:
        shares = f"{row['surely worse']:6.1%}  {row['no better']:6.1%}"
        lines.append(f"{row['gain']:>6}{row['staying']:>17}  {shares}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
