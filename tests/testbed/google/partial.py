"""`fields`: partial responses such as `items(id,start/dateTime),nextSyncToken` (guide "Performance tips")."""

from __future__ import annotations

import re
from typing import Any

from .errors import ApiError

Wanted = dict[str, "Wanted"]  # no names: everything
_TOKEN = re.compile(r"[A-Za-z0-9_\-.]+|\*|[(),/]")


def select(body: dict[str, Any], fields: str) -> dict[str, Any]:
    """The fields of an answer that were asked for. Raises 400 for a selector that cannot be read."""
    tokens = _TOKEN.findall(fields)
    if "".join(tokens) != fields.replace(" ", ""):
        raise _refused(fields)
    wanted = _list(tokens, fields)
    if tokens:
        raise _refused(fields)
    result = _cut(body, wanted)
    assert isinstance(result, dict)
    return result


def _refused(fields: str) -> ApiError:
    return ApiError(
        400, "invalidParameter", f"Invalid field selection {fields}", location=("parameter", "fields")
    )


def _list(tokens: list[str], fields: str) -> Wanted:
    wanted: Wanted = {}
    while True:
        name, below = _path(tokens, fields)
        wanted.setdefault(name, {}).update(below)
        if not tokens or tokens[0] != ",":
            return wanted
        tokens.pop(0)


def _path(tokens: list[str], fields: str) -> tuple[str, Wanted]:
    if not tokens or tokens[0] in "(),/":
        raise _refused(fields)
    name = tokens.pop(0)
    if tokens[:1] == ["/"]:
        tokens.pop(0)
        below, under = _path(tokens, fields)
        return name, {below: under}
    if tokens[:1] == ["("]:
        tokens.pop(0)
        inside = _list(tokens, fields)
        if tokens[:1] != [")"]:
            raise _refused(fields)
        tokens.pop(0)
        return name, inside
    return name, {}


def _cut(value: Any, wanted: Wanted) -> Any:
    if not wanted:
        return value
    if isinstance(value, list):
        return [_cut(each, wanted) for each in value]
    if not isinstance(value, dict):
        return value
    if "*" in wanted:
        return {name: _cut(each, wanted["*"]) for name, each in value.items()}
    return {name: _cut(value[name], below) for name, below in wanted.items() if name in value}
