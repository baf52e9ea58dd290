"""Text that people type, in one form, however long it is that somebody sends."""

from __future__ import annotations

import unicodedata

_MOST_OF_ONE = 4
"""So many code points at most become one in NFC: the greatest expansion by NFD (UAX #15)."""


def compose(text: str, most: int) -> str:
    """The text in NFC; of one that has more than `most` code points then, only enough to be too long.

    Marks without end on one letter are sorted in a time that grows with the square of their number.
    """
    return unicodedata.normalize("NFC", text[: _MOST_OF_ONE * most + 1])
