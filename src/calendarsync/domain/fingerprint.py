"""Keyed fingerprints: equal for equal contents, and of no use to somebody who wants to guess a title."""

from __future__ import annotations

from hashlib import blake2b

from calendarsync.domain.event import Content

_DIGEST_BYTES = 16
_SEPARATOR = b"\x1f"


class Fingerprinter:
    """Makes fingerprints (32 hexadecimal digits) with the installation's key of 16 to 64 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, *parts: str) -> str:
        """A fingerprint of the parts in their order; parts with other boundaries give another one."""
        digest = blake2b(key=self._key, digest_size=_DIGEST_BYTES)
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(encoded) + encoded + _SEPARATOR)
        return digest.hexdigest()

    def of_bytes(self, data: bytes) -> str:
        """Of one text as it came."""
        return blake2b(data, key=self._key, digest_size=_DIGEST_BYTES, person=b"bytes").hexdigest()

    def of_content(self, content: Content) -> str:
        """Of the texts that a copy in `full` mode carries."""
        return self.of("content", content.title, content.description, content.location)

    def of_people(self, content: Content) -> str:
        """Of the attendees' names, in any order."""
        return self.of("people", *sorted(content.attendees))
