"""Tells whether a model version was made by somebody who has this service's secret."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

# The secret signs other things too; what is signed for one purpose must not do for another.
_PURPOSE = b"recsvc model version"


class Signer:
    """Signs by HMAC-SHA256 (RFC 2104)."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Takes the secrets.

        Args:
            secrets: The first one signs; a signature by any of them is good.
        """
        self._keys = [hmac.digest(secret.encode(), _PURPOSE, "sha256") for secret in secrets]

    def sign(self, content: bytes) -> str:
        """The signature of a content, in hexadecimal digits."""
        return hmac.digest(self._keys[0], content, "sha256").hex()

    def has_signed(self, content: bytes, signature: str) -> bool:
        """Whether a signature is that of a content, told in a time that gives nothing away."""
        given = signature.encode()
        made = (hmac.digest(key, content, "sha256").hex().encode() for key in self._keys)
        return any(hmac.compare_digest(one, given) for one in made)
