"""`$filter` on events, as far as the pages show it.

Source: https://learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-get: "The filter is applied to all
instances of the resource in the signed-in user's mailbox", names are case-sensitive, values are not.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from .errors import ApiError, bad_request
from .extended import extended_id
from .series import View
from .zones import instant

Test = Callable[[View], bool]

_TEXT = r"'((?:[^']|'')*)'"
_ANY = re.compile(r"singleValueExtendedProperties/any\(\s*(\w+)\s*:\s*(.*)\)", re.IGNORECASE | re.DOTALL)
_EQUAL = re.compile(rf"(\w+) eq {_TEXT}")
_TIME = re.compile(rf"(start|end)/dateTime (ge|gt|le|lt) {_TEXT}")
_COMPARE = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
_NAMED = {"icaluid": "uid", "type": "type"}


def _refused() -> ApiError:
    return bad_request("ErrorInvalidUrlQueryFilter", "The query filter contains one or more invalid nodes.")


def extended(text: str) -> Test | None:
    """The test of an extended property, if that is what the filter asks for. Raises 400."""
    found = _ANY.fullmatch(text.strip())
    if found is None:
        return None
    name = re.escape(found[1])
    named = re.match(rf"{name}/id eq {_TEXT}\s+and\s+(.*)", found[2], re.IGNORECASE | re.DOTALL)
    if named is None:
        raise _refused()
    wanted = _value_test(named[2].strip(), name)
    key = extended_id(named[1].replace("''", "'"))

    def test(view: View) -> bool:
        value = view.properties.get(key)
        return value is not None and wanted(value.casefold())

    return test


def _value_test(text: str, name: str) -> Callable[[str], bool]:
    compared = re.fullmatch(rf"{name}/value (eq|ne) {_TEXT}", text, re.IGNORECASE)
    if compared is not None:
        wanted = compared[2].replace("''", "'").casefold()
        equal = compared[1].casefold() == "eq"
        return lambda value: (value == wanted) is equal
    called = re.fullmatch(rf"(contains|startswith)\(\s*{name}/value\s*,\s*{_TEXT}\s*\)", text, re.IGNORECASE)
    if called is None:
        raise _refused()
    part = called[2].replace("''", "'").casefold()
    if called[1].casefold() == "contains":
        return lambda value: part in value
    return lambda value: value.startswith(part)


def plain(text: str) -> Test:
    """Comparisons of iCalUId, type, subject, start and end, joined by `and`. Raises 400."""
    tests = [_plain(part.strip()) for part in re.split(r"\s+and\s+", text.strip())]
    return lambda view: all(test(view) for test in tests)


def _plain(text: str) -> Test:
    timed = _TIME.fullmatch(text)
    if timed is not None:
        limit, compare = instant(timed[3], timed[1]), _COMPARE[timed[2]]
        return lambda view: bool(compare(getattr(view, timed[1]).utc, limit))
    equal = _EQUAL.fullmatch(text)
    if equal is None:
        raise _refused()
    name, wanted = equal[1].casefold(), equal[2].replace("''", "'")
    if name in _NAMED:
        return lambda view: bool(getattr(view, _NAMED[name]) == wanted)
    if name == "subject":
        return lambda view: str(view.fields.get("subject", "")).casefold() == wanted.casefold()
    raise _refused()
