"""Ids of extended properties.

Source: https://learn.microsoft.com/graph/api/resources/extended-properties-overview
"""

from __future__ import annotations

import re

from .errors import bad_request

_TYPES = "String|Integer|Boolean|CLSID|SystemTime|Double|Float|Long|Short|Binary|Currency|ApplicationTime"
_GUID = r"\{[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}"
_NAMED = re.compile(rf"({_TYPES}) ({_GUID}) (Name .+|Id 0x[0-9a-fA-F]+)")
_TAG = re.compile(rf"({_TYPES}) 0x[0-9a-fA-F]{{4,8}}")


def extended_id(text: str) -> str:
    """An id as Graph answers it, its GUID in small letters (assumed); a name is case-sensitive. Raises 400."""
    named = _NAMED.fullmatch(text)
    if named is not None:
        return f"{named[1]} {named[2].lower()} {named[3]}"
    if _TAG.fullmatch(text):
        return text
    raise bad_request(
        "ErrorInvalidProperty", "The id of an extended property is in none of the three formats."
    )
