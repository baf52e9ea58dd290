"""docs/reference/client.md: its programs run as they stand, and its handlers take what a server signs."""

from __future__ import annotations

import ast
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from calendarsync.client import errors
from calendarsync.webhooks import signing
from tests.guides.runner import ROOT, blocks_of, run
from tests.guides.stage import serving

PAGE = (ROOT / "docs/reference/client.md").read_text("utf-8")


def test_the_programs_run(tmp_path: Path) -> None:
    with serving(tmp_path) as reader:
        begin, waiting, runs, lists, caught, limited = run(PAGE, tmp_path, reader)
    assert begin.strip() == "['Busy']"
    assert " True " in waiting
    assert runs.splitlines()[0].startswith("success ")
    assert runs.splitlines()[1] == "[]"
    assert lists.startswith("0 failed; ")
    assert "req_" in caught
    assert "options.color" in caught
    assert " of " in limited


def test_the_tree_of_errors_is_the_one_of_the_module() -> None:
    (tree,) = (block.text for block in blocks_of(PAGE) if block.language == "text")
    names = {line.strip("│├└─ ").split(" ")[0] for line in tree.splitlines()}
    assert names == {
        name for name, each in vars(errors).items() if isinstance(each, type) and _is_error(each)
    }


def _is_error(kind: type) -> bool:
    return issubclass(kind, errors.CalendarSyncError)


@pytest.mark.parametrize("name", ["with_fastapi.py", "with_flask.py", "with_django.py"])
def test_the_handlers_are_python(name: str) -> None:
    (text,) = (block.text for block in blocks_of(PAGE) if block.file == name)
    ast.parse(text)


async def test_the_handler_takes_what_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = (block.text for block in blocks_of(PAGE) if block.file == "with_fastapi.py")
    secret = signing.new_secret()
    module: dict[str, Any] = {"__name__": "with_fastapi"}
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    exec(compile(text, "with_fastapi.py", "exec"), module)  # the page's own words
    body = json.dumps(
        {"id": "evt_1", "type": "webhook.test", "created_at": "2026-03-28T10:00:00Z", "data": {}}
    ).encode()
    signed = signing.headers([secret], "evt_1", int(time.time()), body)
    transport = httpx.ASGITransport(module["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
        assert (await client.post("/hooks/calendarsync", content=body, headers=signed)).status_code == 204
        refused = await client.post("/hooks/calendarsync", content=body + b" ", headers=signed)
    assert (refused.status_code, "No signature fits" in refused.text) == (400, True)
