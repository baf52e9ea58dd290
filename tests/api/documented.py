"""Which answers the OpenAPI document names."""

from __future__ import annotations

import re

from calendarsync.api.app import openapi_document

_ANSWERS = {
    (method.upper(), path): set(operation["responses"])
    for path, methods in openapi_document()["paths"].items()
    for method, operation in methods.items()
}
# Those without parameters first: a router takes them so.
_PATTERNS = {
    path: re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))
    for _, path in sorted(_ANSWERS, key=lambda each: "{" in each[1])
}


def is_documented(method: str, path: str, status: int) -> bool:
    """True as well where there is no such operation."""
    found = next((each for each, pattern in _PATTERNS.items() if pattern.fullmatch(path)), "")
    answers = _ANSWERS.get(("GET" if method == "HEAD" else method, found))
    return answers is None or str(status) in answers
