"""Rows of numbers in one byte each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsvc.recommender import kernels
from recsvc.recommender.voice import Arrays, checked

_GREATEST = 127


@dataclass(frozen=True)
class OneByteRows:
    """Rows of numbers that are kept in one byte each, and are float32 again where they are read.

    Whoever scores items waits for memory, and not for arithmetic. Each row has a unit of its own, symmetric
    about 0 (Wu et al. 2020: *Integer quantization for deep learning inference*), so a number is off by half
    a 127th of its row's greatest at the most. See docs/adr/0020.

    Attributes:
        numbers: int8, shape (n, d), -127 to 127.
        units: float32, shape (n,): what 1 stands for in each row.
    """

    numbers: NDArray[np.int8]
    units: NDArray[np.float32]

    @classmethod
    def of(cls, rows: NDArray[np.float32]) -> Self:
        """Rounds rows of numbers.

        Args:
            rows: float32, shape (n, d).
        """
        greatest = np.abs(rows).max(axis=1, initial=0)
        units = (greatest / np.float32(_GREATEST)).astype(np.float32)
        # Rows of what is next to nothing have no unit in float32: they are nothing.
        steps = np.divide(rows, units[:, None], out=np.zeros_like(rows), where=units[:, None] > 0)
        return cls(np.clip(np.rint(steps), -_GREATEST, _GREATEST).astype(np.int8), units)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], rows: int) -> Self:
        """Takes what `arrays` gave of so many rows.

        Raises:
            ValueError: An array is missing, or their shapes do not fit together.
        """
        found = checked(arrays, {"embeddings": (rows, -1), "units": (rows,)})
        return cls(found["embeddings"], found["units"])

    def arrays(self) -> Arrays:
        """What has to be kept of a voice's embeddings."""
        return {"embeddings": self.numbers, "units": self.units}

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows, and how long they are."""
        rows, length = self.numbers.shape
        return rows, length

    def __getitem__(self, rows: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Some rows, float32, shape (c, d)."""
        if not isinstance(rows, slice):
            return kernels.rows(self.numbers, self.units, rows)
        found: NDArray[np.float32] = self.numbers[rows] * self.units[rows][:, None]
        return found

    def products(self, vectors: NDArray[np.float32], rows: NDArray[np.intp] | slice) -> NDArray[np.float32]:
        """Multiplies vectors, shape (d,) or (p, d), with some rows: float32, shape (…, c)."""
        if not isinstance(rows, slice):
            multiply = kernels.products if vectors.ndim == 1 else kernels.products_of_each
            return multiply(self.numbers, self.units, rows, np.ascontiguousarray(vectors))
        some = self.numbers[rows].astype(np.float32)
        products: NDArray[np.float32] = vectors @ some.T
        products *= self.units[rows]
        return products


Rows = NDArray[np.float32] | OneByteRows  # as they were fitted, or as they are served


def rounded(rows: Rows) -> OneByteRows:
    """Rows in one byte a number; those that are already are not rounded again."""
    return rows if isinstance(rows, OneByteRows) else OneByteRows.of(rows)


def products(
    vectors: NDArray[np.float32], rows: Rows, chosen: NDArray[np.intp] | slice
) -> NDArray[np.float32]:
    """Multiplies vectors, shape (d,) or (p, d), with some rows: float32, shape (…, c)."""
    if isinstance(rows, OneByteRows):
        return rows.products(vectors, chosen)
    found: NDArray[np.float32] = vectors @ rows[chosen].T
    return found
