"""`calendarsync explain`: what it asks, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from calendarsync.api.examples import ANSWERS
from calendarsync.cli.app import app
from tests.client.scripted import Reply, Scripted, error, scripted

ANSWER = ANSWERS["explain_pair"][200]
MOMENT = "2026-03-02T09:00Z"


def explain(script: Scripted, *arguments: str, status: int = 0) -> Result:
    environment = {"CALENDARSYNC_URL": script.url, "CALENDARSYNC_API_KEY": "cs_test_key"}
    result = CliRunner().invoke(app, ["explain", "pair_1", *arguments], env=environment)
    assert result.exit_code == status, result.output
    return result


def test_an_event_is_explained() -> None:
    with scripted() as script:
        script.will(Reply(200, ANSWER))
        printed = explain(script, "--event", "lunch@example.com").stdout
    (asked,) = script.asked
    assert asked.path == "/api/v1/sync-pairs/pair_1/explain?event_id=lunch%40example.com"
    assert printed.splitlines()[:3] == [
        "source lunch@example.com from 2026-03-30 10:00Z in conn_abc123 (a_to_b): skip",
        "  free (rule 6): It is shown as free.",
        "  Show it as busy, or set the pair's `include_free`.",
    ]
    assert printed.splitlines()[3] == "2026-03-28 10:00Z sync_run_123: skip, free"


def test_a_moment_is_explained_and_what_ails_the_pair_comes_first() -> None:
    paused = {
        "reason": "pair_paused",
        "rule": 19,
        "explanation": "The pair is paused.",
        "remedy": "Resume it.",
        "message": None,
        "connection_id": None,
        "until": "2026-04-01T06:00:00Z",
    }
    nothing = {"explanations": [], "operations": [], "problems": [paused]}
    with scripted() as script:
        script.will(Reply(200, ANSWER | nothing))
        printed = explain(script, "--at", MOMENT).stdout
    assert script.asked[0].path == "/api/v1/sync-pairs/pair_1/explain?at=2026-03-02T09%3A00%3A00Z"
    assert printed.splitlines() == [
        "The pair: pair_paused (rule 19). The pair is paused. Until 2026-04-01 06:00Z.",
        "  Resume it.",
        "Neither calendar holds anything at that time.",
    ]


def test_a_terminal_acts_on_nothing_that_an_id_holds() -> None:
    (told,) = ANSWER["explanations"]
    named = {"event_id": "\x1b]0;owned\x07\nsource other\u202e", "source_id": "\x9b2J", "copy_id": "\x1b[2J"}
    with scripted() as script:
        script.will(Reply(200, ANSWER | {"explanations": [told | named]}))
        printed = explain(script, "--event", "one").stdout
    assert all(line.isprintable() for line in printed.splitlines())
    assert printed.splitlines()[0].startswith("source \ufffd]0;owned\ufffd\ufffdsource other\ufffd from ")


def test_as_json_it_is_the_answer() -> None:
    with scripted() as script:
        script.will(Reply(200, ANSWER))
        assert json.loads(explain(script, "--event", "one", "--json").stdout) == ANSWER


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give either --event or --at"),
        (("--event", "one", "--at", MOMENT), "give either --event or --at"),
        (("--at", "tomorrow"), "with its offset"),
        (("--at", "2026-03-02T09:00"), "with its offset"),
        (("--at", "0001-01-01T00:00+14:00"), "with its offset"),
        (("--event", "\udcff"), "not text in UTF-8"),
        (("--event", "one", "--key-file", "nowhere"), "the key cannot be read"),
    ],
    ids=ascii,
)
def test_what_cannot_be_asked(
    arguments: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with scripted() as script:
        assert words in explain(script, *arguments, status=2).stderr
    assert script.asked == []


def test_a_pair_that_there_is_not() -> None:
    with scripted() as script:
        script.will(error(404, "not_found", "no such sync pair"))
        assert "no such sync pair" in explain(script, "--event", "one", status=1).stderr
