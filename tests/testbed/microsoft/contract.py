"""Every request and every answer against Graph's own types, `graph-calendar.schema.json`.

The file stands in `../shared` beside the repository and is no part of it; without it nothing is checked, and
`checked` says so. The values of a request's enumerations are not case-sensitive, and rows of delta may carry
`@removed`; of query options the types say nothing: `routes` holds those that the pages name.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from .quick import Types

SCHEMA = Path(__file__).resolve().parents[4] / "shared" / "testbed" / "graph-calendar.schema.json"
_REMOVED = {
    "type": "object",
    "required": ["reason"],
    "properties": {"reason": {"enum": ["changed", "deleted"]}},
    "additionalProperties": False,
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string", "minLength": 1}, "message": {"type": "string"}},
        }
    },
}


class Contract:
    """`path`: the schema; where it is not there, nothing is ever a violation."""

    def __init__(self, path: Path = SCHEMA) -> None:
        self.checked = path.exists()
        if not self.checked:
            return
        types = json.loads(path.read_text())["$defs"]
        types["event"]["properties"]["@removed"] = _REMOVED
        types["resourceData"]["properties"]["id"] = {"type": "string"}  # resources/resourcedata
        types["error"] = _ERROR
        types["value"] = {"type": "object", "required": ["value"]}
        self._answers = types
        self._requests = _any_case(copy.deepcopy(types))
        self._quick = {False: Types(self._answers), True: Types(self._requests)}
        self._validators: dict[tuple[str, bool], Draft202012Validator] = {}

    def request(self, type_name: str, body: Any) -> list[str]:
        return self._errors(type_name, body, is_request=True)

    def answer(self, type_name: str, body: Any) -> list[str]:
        return self._errors(type_name, body, is_request=False)

    def _errors(self, type_name: str, body: Any, *, is_request: bool) -> list[str]:
        if not self.checked or self._quick[is_request].fits(type_name, body):
            return []
        key = type_name, is_request
        if key not in self._validators:
            types = self._requests if is_request else self._answers
            self._validators[key] = Draft202012Validator({"$ref": f"#/$defs/{type_name}", "$defs": types})
        return [
            f"{type_name}{''.join(f'/{step}' for step in error.absolute_path)}: {_text(error)}"
            for whole in self._validators[key].iter_errors(body)
            for error in _leaves(whole)
        ]


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """What is wrong with a value of a type that may be null as well: why it is not of the type."""
    inner = [one for one in error.context or () if (one.validator, one.validator_value) != ("type", "null")]
    if not inner:
        yield error
    for one in inner:
        yield from _leaves(one)


def _text(error: ValidationError) -> str:
    unknown = "a property that the type does not have: " if error.validator == "additionalProperties" else ""
    return unknown + error.message[:200]


def _any_case(node: Any) -> Any:
    if isinstance(node, list):
        return [_any_case(one) for one in node]
    if not isinstance(node, dict):
        return node
    values = node.get("enum")
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        pattern = "|".join(re.escape(value) for value in values)
        return {"type": "string", "pattern": f"^(?i:{pattern})$"}
    return {name: _any_case(value) for name, value in node.items()}
