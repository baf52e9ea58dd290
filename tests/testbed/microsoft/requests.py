"""A request as the operations see it, and the OData options and preferences in it.

Sources: https://learn.microsoft.com/graph/query-parameters, event-get (Prefer: outlook.timezone,
outlook.body-content-type), outlook-immutable-id (Prefer: IdType), event-delta (odata.maxpagesize).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

from .errors import bad_request
from .extended import extended_id
from .state import Grant

_PREFERENCE = re.compile(r"([A-Za-z][\w.\-]*)\s*=\s*(\"[^\"]*\"|[^\s,;]*)")
_KEYED = re.compile(r"([\w.]+)\('(.*)'\)")
_PROPERTY_FILTER = re.compile(r"id eq '((?:[^']|'')*)'", re.IGNORECASE)


def segments(path: str) -> list[str]:
    """A path's segments, decoded; `events('id')` is the same as `events/id`, a function may be written out."""
    found: list[str] = []
    for raw in path.split("/"):
        segment = unquote(raw)
        keyed = _KEYED.fullmatch(segment)
        if keyed is not None:
            found += [keyed[1], keyed[2]]
        elif segment:
            found.append(segment.removesuffix("()").removeprefix("microsoft.graph."))
    return found


@dataclass
class Request:
    """`path`: segments behind `/v1.0`, decoded. `query`: names as sent. `base`: up to and with `/v1.0`."""

    method: str
    path: list[str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    base: str
    grant: Grant
    part: bool = False
    applied: list[str] = field(default_factory=list)

    @cached_property
    def preferences(self) -> dict[str, str]:
        named = {name.casefold(): value for name, value in self.headers.items()}
        found = _PREFERENCE.findall(named.get("prefer", ""))
        return {name.casefold(): value.strip('"') for name, value in found}

    @property
    def immutable(self) -> bool:
        return self.preferences.get("idtype", "").casefold() == "immutableid"

    @property
    def timezone(self) -> str:
        return self.preferences.get("outlook.timezone") or "UTC"

    @property
    def text_bodies(self) -> bool:
        return self.preferences.get("outlook.body-content-type", "").casefold() == "text"

    def option(self, name: str) -> str | None:
        """A query option; names of options are not case-sensitive."""
        for given, value in self.query.items():
            if given.casefold() == name.casefold():
                return value
        return None

    def number(self, name: str, default: int, highest: int) -> int:
        """Raises 400."""
        text = self.option(name)
        if text is None:
            return default
        if not re.fullmatch("[0-9]{1,9}", text) or int(text) > highest:
            raise bad_request("BadRequest", f"Invalid value '{text}' for {name} query option found.")
        return int(text)

    @property
    def url(self) -> str:
        """This request's own address without its query, for links to further pages."""
        return self.base + "/" + "/".join(quote(segment, safe="=$()',-_") for segment in self.path)


@dataclass
class Shape:
    """What an answer shows: `select` None is everything but what must be asked for by name."""

    select: set[str] | None = None
    properties: set[str] | None = None  # ids of extended properties to show; None shows none
    exceptions: Shape | None = None


def shape(request: Request) -> Shape:
    """$select and $expand. Raises 400."""
    return _shape(request.option("$select"), request.option("$expand"))


def _shape(select: str | None, expand: str | None) -> Shape:
    found = Shape(None if select is None else {name.strip() for name in select.split(",") if name.strip()})
    for name, options in _split_expand(expand or ""):
        if name.casefold() == "singlevalueextendedproperties":
            asked = _PROPERTY_FILTER.findall(options.get("$filter", ""))
            if not asked:
                message = "The $expand of singleValueExtendedProperties needs a $filter on id."
                raise bad_request("ErrorInvalidUrlQuery", message)
            found.properties = {extended_id(one.replace("''", "'")) for one in asked}
        elif name.casefold() == "exceptionoccurrences":
            found.exceptions = _shape(options.get("$select", select), options.get("$expand"))
        else:
            raise bad_request("BadRequest", f"Could not find a property named '{name}' to expand.")
    return found


def _split_expand(text: str) -> list[tuple[str, dict[str, str]]]:
    found = []
    for item in _split(text, ","):
        name, _, inner = item.partition("(")
        pairs = [option.partition("=") for option in _split(inner.removesuffix(")"), ";") if option]
        found.append((name.strip(), {key.strip(): value.strip() for key, _, value in pairs}))
    return found


def _split(text: str, separator: str) -> list[str]:
    """At separators that stand in no parenthesis and no quotes."""
    parts, depth, quoted, current = [], 0, False, ""
    for letter in text:
        quoted ^= letter == "'"
        if not quoted:
            depth += (letter == "(") - (letter == ")")
        if letter == separator and not depth and not quoted:
            parts.append(current)
            current = ""
        else:
            current += letter
    return [part for part in [*parts, current] if part.strip()]
