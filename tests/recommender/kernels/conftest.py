"""Kernels, compiled and plain: they say the same."""

from __future__ import annotations

import importlib

import pytest

from recsvc.recommender import kernels


@pytest.fixture
def compiled():
    return importlib.import_module(f"{kernels.__name__}.compiled")


@pytest.fixture(params=["plain", "compiled"])
def of_kind(request):
    return importlib.import_module(f"{kernels.__name__}.{request.param}")
