"""Pieces of HTML for the page at /docs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from html import escape
from typing import Any

_CODE = re.compile(r"`([^`]*)`")
_LIMITS = (
    ("minimum", "from {:g}"),
    ("maximum", "to {:g}"),
    ("minItems", "of {} or more"),
    ("maxItems", "of up to {}"),
    ("maxLength", "of up to {} characters"),
)

Row = tuple[str, str, str]
"""What stands in the head of a row, beside it, and below: HTML."""


def prose(text: str) -> str:
    """Paragraphs; what stands between backquotes is code."""
    paragraphs = (escape(each.strip()) for each in text.split("\n\n") if each.strip())
    return "".join("<p>" + _CODE.sub(r"<code>\1</code>", each) + "</p>" for each in paragraphs)


def route(method: str, path: str) -> str:
    return f'<code><b class="{method}">{method.upper()}</b> {escape(path)}</code>'


def code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def rows(title: str, found: Iterable[Row]) -> str:
    """A titled list; nothing where it would be empty."""
    lines = "".join(
        f"<div><dt>{head} <small>{beside}</small></dt><dd>{below}</dd></div>" for head, beside, below in found
    )
    heading = f"<h4>{escape(title)}</h4>" if title else ""
    return f"{heading}<dl>{lines}</dl>" if lines else ""


def sample(title: str, text: str) -> str:
    # A region that scrolls must be reachable without a mouse.
    return f'<figure><figcaption>{escape(title)}</figcaption><pre tabindex="0">{escape(text)}</pre></figure>'


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def plain(value: Any) -> str:
    """As it is written in a query, and in JSON but for the quotes of a string."""
    return value if isinstance(value, str) else as_json(value)


def curl(method: str, path: str, *, key: bool, body: Any = None) -> str:
    """A command for the shell, with server and key in the variables that the client takes."""
    parts = [f'curl {"" if method == "get" else f"-X {method.upper()} "}"$CALENDARSYNC_URL{path}"']
    if key:
        parts.append('-H "Authorization: Bearer $CALENDARSYNC_API_KEY"')
    if body is not None:
        parts += ['-H "Content-Type: application/json"', f"-d {shlex.quote(as_json(body))}"]
    return " \\\n  ".join(parts)


def kind(schema: dict[str, Any]) -> str:
    """The type of a value, in words."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(kind(each) for each in choices)
    if "enum" in schema or "const" in schema:
        return " · ".join(code(plain(each)) for each in schema.get("enum", [schema.get("const")]))
    limits = [words.format(schema[key]) for key, words in _LIMITS if key in schema]
    if schema.get("type") == "array":
        return " ".join(("list of", kind(schema["items"]), *map(escape, limits)))
    return escape(" ".join((schema.get("format") or schema.get("type", "anything"), *limits)))
