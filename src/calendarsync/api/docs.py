"""/docs: the API's reference as one page that needs no script, rendered from the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from calendarsync.api.docs_html import Row, as_json, code, curl, kind, plain, prose, route, rows, sample
from calendarsync.api.route import SECURITY_SCHEME

_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="stylesheet" href="/docs/style.css">
</head>
<body>
<header><h1>{title}</h1><p>Version {version} · <a href="/api/v1/openapi.json">OpenAPI document</a></p></header>
<nav aria-label="Contents">{navigation}</nav>
<main>
<section id="introduction">{introduction}</section>
{groups}
<h2 id="events">Events</h2>
{events}
<h2 id="errors">Errors</h2>
{errors}
<h2 id="headers">Headers</h2>
{headers}
<h2 id="schemas">Schemas</h2>
{schemas}
</main>
</body>
</html>
"""
_ALWAYS = frozenset({"X-Request-Id", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"})
"""Headers that are described once, and not at each answer."""

Operation = tuple[str, str, dict[str, Any]]


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
    return _Reference(document).page()


class _Reference:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._components = document["components"]

    def page(self) -> str:
        document, schemas = self._document, self._components["schemas"]
        return _PAGE.format(
            title=escape(document["info"]["title"]),
            version=escape(document["info"]["version"]),
            introduction=prose(document["info"]["description"]),
            navigation="".join(self._navigation()),
            groups="\n".join(self._group(tag) for tag in document["tags"]),
            events="\n".join(
                self._event(name, methods["post"]) for name, methods in document["webhooks"].items()
            ),
            errors=rows("", map(self._common_error, self._components["responses"].items())),
            headers=rows("Of requests", map(_parameter, self._components["parameters"].values()))
            + rows("Of answers", map(_header, self._components["headers"].items())),
            schemas="\n".join(self._schema(name) for name in sorted(schemas)),
        )

    def _operations(self, tag: str) -> Iterator[Operation]:
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                if operation["tags"][0] == tag:
                    yield method, path, operation

    def _navigation(self) -> Iterator[str]:
        for tag in self._document["tags"]:
            yield f'<h2><a href="#{_anchor(tag["name"])}">{escape(tag["name"])}</a></h2><ul>'
            for method, path, operation in self._operations(tag["name"]):
                text = route(method, re.sub(r"\{\w+\}", "…", path.removeprefix("/api/v1")))
                text = text.replace("…/", "…/<wbr>")
                yield f'<li><a href="#{escape(operation["operationId"])}">{text}</a></li>'
            yield "</ul>"
        for name in ("Events", "Errors", "Headers", "Schemas"):
            yield f'<h2><a href="#{name.lower()}">{name}</a></h2>'

    def _group(self, tag: dict[str, Any]) -> str:
        operations = "\n".join(self._operation(*each) for each in self._operations(tag["name"]))
        name = tag["name"]
        return f'<h2 id="{_anchor(name)}">{escape(name)}</h2>{prose(tag["description"])}\n{operations}'

    def _operation(self, method: str, path: str, operation: dict[str, Any]) -> str:
        scopes = [scope for each in operation.get("security", ()) for scope in each.get(SECURITY_SCHEME, ())]
        needed = f"Scope: {code(', '.join(scopes))}" if scopes else "No API key is needed."
        parameters = [self._resolved(each) for each in operation.get("parameters", ())]
        own = [each for each in parameters if each["name"] not in self._components["parameters"]]
        common = [each["name"] for each in parameters if each["name"] in self._components["parameters"]]
        text = (
            f"{prose(operation.get('description', ''))}<p>{needed}</p>"
            f"{rows('Parameters', map(_parameter, own))}"
            f"{self._body(operation)}"
            f"{rows('Answers', self._answers(operation))}"
            f"{_named_headers(common)}{self._errors(operation)}"
        )
        samples = self._request(method, path, operation, own) + self._answer_samples(operation)
        return _section(operation, route(method, path), text, samples)

    def _body(self, operation: dict[str, Any]) -> str:
        if "requestBody" not in operation:
            return ""
        body = operation["requestBody"]
        schema = body["content"]["application/json"]["schema"]
        named = [each for each in (schema, *schema.get("anyOf", ())) if "$ref" in each]
        fields = list(self._fields(self._resolved(named[0]))) if len(named) == 1 else []
        optional = "" if body.get("required") else " (may be left out)"
        return f"<h4>Body: {kind(schema)}{optional}</h4>{rows('', fields)}"

    def _answers(self, operation: dict[str, Any]) -> Iterator[Row]:
        for status, answer in operation["responses"].items():
            if int(status) < 400:
                content = next(iter(answer.get("content", {}).values()), None)
                headers = [name for name in answer["headers"] if name not in _ALWAYS]
                below = prose(answer["description"]) + _named_headers(headers)
                yield code(status), kind(content["schema"]) if content else "", below

    def _errors(self, operation: dict[str, Any]) -> str:
        common, own = [], []
        for status, error in operation["responses"].items():
            if int(status) < 400:
                continue
            if "$ref" in error:
                name = error["$ref"].rpartition("/")[2]
                common.append(f'<a href="#error-{name}">{status}</a>')
            else:
                own.append((code(status), "", prose(error["description"])))
        listed = f"<p><small>As everywhere: {', '.join(common)}</small></p>" if common else ""
        return rows("Errors", own) + listed

    def _request(self, method: str, path: str, operation: dict[str, Any], own: list[dict[str, Any]]) -> str:
        for each in own:
            if each["in"] == "path":
                path = path.replace(f"{{{each['name']}}}", _example(each))
        wanted = [each for each in own if each["in"] == "query" and each.get("required")]
        query = "&".join(f"{each['name']}={quote(_example(each), safe=':')}" for each in wanted)
        path += f"?{query}" if query else ""
        key = "security" in operation
        if "requestBody" not in operation:
            return sample("Request", curl(method, path, key=key))
        examples = operation["requestBody"]["content"]["application/json"]["examples"].values()
        return "".join(
            sample(each["summary"], curl(method, path, key=key, body=each["value"])) for each in examples
        )

    def _answer_samples(self, operation: dict[str, Any]) -> str:
        found = []
        for status, answer in operation["responses"].items():
            for content in answer.get("content", {}).values() if int(status) < 400 else ():
                example = content.get("example")
                if example is None:
                    continue
                text = example if isinstance(example, str) else as_json(example)
                found.append(sample(f"Answer {status}", text))
        return "".join(found)

    def _event(self, name: str, operation: dict[str, Any]) -> str:
        content = operation["requestBody"]["content"]["application/json"]
        headers = "\n".join(
            f"{each['name']}: {each['example']}" for each in operation["parameters"] if "example" in each
        )
        text = (
            f"{prose(operation['description'])}<h4>Body: {kind(content['schema'])}</h4>"
            f"{rows('Headers', map(_parameter, operation['parameters']))}"
            f"{rows('What we make of your answer', map(_expected, operation['responses'].items()))}"
        )
        samples = sample("Headers", headers) + sample("Body", as_json(content["example"]))
        return _section(operation, code(name), text, samples)

    def _common_error(self, named: tuple[str, dict[str, Any]]) -> Row:
        name, error = named
        example = error["content"]["application/json"]["example"]
        anchor = f'<span id="error-{escape(name)}">{code(name)}</span>'
        status = next(
            (
                status
                for methods in self._document["paths"].values()
                for operation in methods.values()
                for status, each in operation["responses"].items()
                if each.get("$ref", "").rpartition("/")[2] == name
            ),
            "",
        )
        headers = [each for each in error["headers"] if each not in _ALWAYS]
        below = prose(error["description"]) + _named_headers(headers) + sample("Body", as_json(example))
        return anchor, status, below

    def _schema(self, name: str) -> str:
        schema = self._components["schemas"][name]
        described = prose(schema.get("description", ""))
        return (
            f'<section id="schema-{escape(name)}"><h3>{escape(name)}</h3>{described}'
            f"{rows('', self._fields(schema))}</section>"
        )

    def _fields(self, schema: dict[str, Any]) -> Iterator[Row]:
        required = schema.get("required", ())
        for name, each in schema.get("properties", {}).items():
            need = " · <em>required</em>" if name in required else ""
            yield code(name), kind(each) + need, prose(_described(each.get("description", ""), each))

    def _resolved(self, item: dict[str, Any]) -> dict[str, Any]:
        found = item
        if "$ref" in item:
            _, _, part, name = item["$ref"].split("/")
            found = self._components[part][name]
        return found


def _section(operation: dict[str, Any], label: str, text: str, samples: str) -> str:
    name, summary = escape(operation["operationId"]), escape(operation["summary"])
    return (
        f'<section id="{name}" class="operation"><h3><a href="#{name}">{summary}</a></h3>'
        f'<p class="route">{label}</p><div class="text">{text}</div><div class="samples">{samples}</div></section>'
    )


def _anchor(tag: str) -> str:
    return "tag-" + re.sub(r"\W+", "-", tag.lower())


def _parameter(parameter: dict[str, Any]) -> Row:
    need = " · <em>required</em>" if parameter.get("required") else ""
    text = _described(parameter.get("description", ""), parameter["schema"])
    return code(parameter["name"]), f"{parameter['in']} · {kind(parameter['schema'])}{need}", prose(text)


def _header(named: tuple[str, dict[str, Any]]) -> Row:
    name, header = named
    return code(name), kind(header["schema"]), prose(header["description"])


def _expected(named: tuple[str, dict[str, Any]]) -> Row:
    status, response = named
    return code(status), "", prose(response["description"])


def _named_headers(names: list[str]) -> str:
    linked = ", ".join(code(name) for name in names)
    return f'<p><small><a href="#headers">Headers</a>: {linked}</small></p>' if names else ""


def _described(text: str, schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return text if default is None else f"{text} Default: `{plain(default)}`."


def _example(parameter: dict[str, Any]) -> str:
    return str(parameter["schema"].get("examples", [parameter["name"]])[0])
