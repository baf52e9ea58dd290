"""Whether a value is as a JSON Schema says, for the few keywords that Graph's types are written in.

A thousand times as many answers are in order as are not: this is thirty times as quick as the real validator, which
then says what is wrong with the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

Check = Callable[[Any], bool]

_KNOWN = {
    *("$ref", "type", "enum", "pattern", "minimum", "maximum", "anyOf", "items", "required"),
    *("properties", "patternProperties", "additionalProperties", "minLength"),
}


class Types:
    """The checks of named types, made when they are first asked for. Raises KeyError for an unknown keyword."""

    def __init__(self, types: Mapping[str, Any]) -> None:
        self._types = types
        self._made: dict[str, Check] = {}

    def fits(self, name: str, value: Any) -> bool:
        """Whether the value is of the type with this name."""
        if name not in self._made:
            self._made[name] = self._make(self._types[name])
        return self._made[name](value)

    def _make(self, schema: Mapping[str, Any]) -> Check:
        if unknown := set(schema) - _KNOWN:
            raise KeyError(f"no check for {sorted(unknown)}")
        checks = [check for check in (self._simple(schema), self._object(schema)) if check is not None]
        if "$ref" in schema:
            checks.append(partial(self.fits, schema["$ref"].removeprefix("#/$defs/")))
        if "anyOf" in schema:
            choices = [self._make(choice) for choice in schema["anyOf"]]
            checks.append(lambda value: any(choice(value) for choice in choices))
        if "items" in schema:
            item = self._make(schema["items"])
            checks.append(lambda value: not isinstance(value, list) or all(map(item, value)))
        if len(checks) == 1:
            return checks[0]
        return lambda value: all(check(value) for check in checks)

    def _simple(self, schema: Mapping[str, Any]) -> Check | None:
        kinds = schema.get("type")
        allowed = () if kinds is None else (kinds,) if isinstance(kinds, str) else tuple(kinds)
        values = schema.get("enum")
        pattern = re.compile(schema["pattern"]) if "pattern" in schema else None
        low, high = schema.get("minimum"), schema.get("maximum")
        shortest = schema.get("minLength", 0)

        def check(value: Any) -> bool:
            if allowed and not any(_is(value, kind) for kind in allowed):
                return False
            if values is not None and value not in values:
                return False
            if isinstance(value, str):
                return len(value) >= shortest and (pattern is None or pattern.search(value) is not None)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return (low is None or value >= low) and (high is None or value <= high)
            return True

        return check

    def _object(self, schema: Mapping[str, Any]) -> Check | None:
        names = {name: self._make(each) for name, each in schema.get("properties", {}).items()}
        patterns = [
            (re.compile(name), self._make(each)) for name, each in schema.get("patternProperties", {}).items()
        ]
        closed = schema.get("additionalProperties") is False
        required = schema.get("required", ())
        if not (names or patterns or closed or required):
            return None

        def check(value: Any) -> bool:
            if not isinstance(value, dict):
                return True
            for name, inner in value.items():
                fitting = [each for pattern, each in patterns if pattern.search(name)]
                if name in names:
                    fitting.append(names[name])
                elif closed and not fitting:
                    return False
                if not all(each(inner) for each in fitting):
                    return False
            return all(name in value for name in required)

        return check


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "array":
            return isinstance(value, list)
    return isinstance(value, dict)
