"""/docs: the API's reference as one page that needs no script, rendered from the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from calendarsync.api.route import SECURITY_SCHEME

_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

_CODE = re.compile(r"`([^`]*)`")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/docs/style.css">
</head>
<body>
<header><h1>{title}</h1><p>Version {version} · <a href="/api/v1/openapi.json">OpenAPI document</a></p></header>
<nav aria-label="Operations">{navigation}</nav>
<main>
{introduction}
{operations}
<h2 id="schemas">Schemas</h2>
{schemas}
</main>
</body>
</html>
"""


def add_to(router: APIRouter, document: Callable[[], dict[str, Any]]) -> None:
    """Serve the page and its style sheet."""
    style = (files("calendarsync.api") / "docs.css").read_text("utf-8")
    pages: list[str] = []

    @router.get("/docs", response_class=HTMLResponse)
    async def docs() -> HTMLResponse:
        if not pages:
            pages.append(render(document()))
        return HTMLResponse(pages[0], headers={"Content-Security-Policy": _POLICY})

    @router.get("/docs/style.css")
    async def docs_style() -> Response:
        return Response(style, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


def render(document: dict[str, Any]) -> str:
    schemas = document["components"]["schemas"]
    operations = list(_operations(document))
    return _PAGE.format(
        title=escape(document["info"]["title"]),
        version=escape(document["info"]["version"]),
        introduction=_prose(document["info"]["description"]),
        navigation=_navigation(operations),
        operations="\n".join(_operation(*each) for each in operations),
        schemas="\n".join(_schema(name, schemas[name]) for name in sorted(schemas)),
    )


Operation = tuple[str, str, dict[str, Any]]


def _operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _navigation(operations: list[Operation]) -> str:
    parts, group = [], None
    for method, path, operation in operations:
        tag = operation["tags"][0]
        if tag != group:
            parts.append(f"{'</ul>' if group else ''}<h2>{escape(tag)}</h2><ul>")
            group = tag
        parts.append(f'<li><a href="#{escape(operation["operationId"])}">{_route(method, path)}</a></li>')
    return "".join(parts) + '</ul><p><a href="#schemas">Schemas</a></p>'


def _route(method: str, path: str) -> str:
    return f'<code><b class="{method.lower()}">{method}</b> {escape(path)}</code>'


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    scopes = [scope for each in operation.get("security", ()) for scope in each.get(SECURITY_SCHEME, ())]
    needed = f"Scope: <code>{escape(', '.join(scopes))}</code>" if scopes else "No key is needed."
    parameters = [each for each in operation.get("parameters", ()) if each["name"] != "authorization"]
    rows = [
        (f"<code>{escape(each['name'])}</code>", each["in"], _type(each["schema"]), _prose(_described(each)))
        for each in parameters
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answers = [
        (f"<code>{status}</code>", _content_type(answer), _prose(answer.get("description", "")))
        for status, answer in operation["responses"].items()
    ]
    return (
        f'<section id="{escape(operation["operationId"])}"><h3>{_route(method, path)}</h3>'
        f"{_prose(operation.get('description', ''))}<p>{needed}</p>"
        f"{_table(('Parameter', 'In', 'Type', ''), rows)}"
        f"{f'<p>Body: {_type(body)}</p>' if body else ''}"
        f"{_table(('Status', 'Answer', ''), answers)}</section>"
    )


def _described(parameter: dict[str, Any]) -> str:
    text: str = parameter.get("description", "")
    default = parameter["schema"].get("default")
    return f"{text} Default: `{default}`." if default is not None else text


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = []
    for field, each in schema.get("properties", {}).items():
        need = "required" if field in required else ""
        about = _prose(each.get("description", ""))
        rows.append((f"<code>{escape(field)}</code>", _type(each), need, about))
    return (
        f'<section id="schema-{escape(name)}"><h3>{escape(name)}</h3>{_prose(schema.get("description", ""))}'
        f"{_table(('Field', 'Type', '', ''), rows)}</section>"
    )


def _content_type(answer: dict[str, Any]) -> str:
    schema = answer.get("content", {}).get("application/json", {}).get("schema")
    return _type(schema) if schema else "—"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(each) for each in choices)
    if "enum" in schema or "const" in schema:
        return " · ".join(
            f"<code>{escape(str(each))}</code>" for each in schema.get("enum", [schema.get("const")])
        )
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    limits = [
        words.format(schema[key])
        for key, words in (
            ("minimum", "from {:g}"),
            ("maximum", "to {:g}"),
            ("maxLength", "of up to {} characters"),
        )
        if key in schema
    ]
    kind = schema.get("format") or schema.get("type", "anything")
    return escape(" ".join((kind, *limits)))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    heading = "".join(f'<th scope="col">{each}</th>' for each in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{heading}</tr></thead><tbody>{lines}</tbody></table>"


def _prose(text: str) -> str:
    """Paragraphs; what stands between backquotes is code."""
    paragraphs = (escape(each.strip()) for each in text.split("\n\n") if each.strip())
    return "".join("<p>" + _CODE.sub(r"<code>\1</code>", each) + "</p>" for each in paragraphs)
