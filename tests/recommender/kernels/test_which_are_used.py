"""Which kernels are used: compiled ones, where there are any."""

from __future__ import annotations

import importlib
import sys

from recsvc.recommender import kernels
from recsvc.recommender.kernels import plain


def test_what_can_be_compiled_is_compiled_here(compiled):
    assert kernels.IS_COMPILED
    assert kernels.relate is compiled.relate


def test_where_nothing_is_compiled_numpy_does_it(monkeypatch):
    monkeypatch.delattr(kernels, "compiled")
    monkeypatch.setitem(sys.modules, f"{kernels.__name__}.compiled", None)
    for name in kernels.__all__:
        monkeypatch.setattr(kernels, name, None)

    again = importlib.reload(kernels)

    assert not again.IS_COMPILED
    assert again.relate is plain.relate
