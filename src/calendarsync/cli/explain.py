"""`calendarsync explain …`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calendarsync.cli.common import USAGE, fail, printable, read_key

if TYPE_CHECKING:
    from calendarsync.client.models import Explanation, PairExplained


def explain(
    pair: Annotated[str, typer.Argument(help="The pair: pair_….")],
    *,
    event: Annotated[
        str | None,
        typer.Option(
            help="An event's or a copy's id or UID; `ID_20260302T080000Z` is one instance of a series."
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="A moment with its offset, such as 2026-03-02T09:00Z.", metavar="TIME")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")] = False,
    url: Annotated[
        str | None,
        typer.Option(help="The server.", envvar="CALENDARSYNC_URL", show_default="http://127.0.0.1:8000"),
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="File that holds the API key. Default: CALENDARSYNC_API_KEY.")
    ] = None,
) -> None:
    """Tell why an event is, or is not, where it was expected: which rule decided, and what would change it.

    Asks the server, with a key that has the scope logs:read. Nothing is read anew, and nothing is written.
    """
    from calendarsync.client import CalendarSync, CalendarSyncError

    if (event is None) == (at is None):
        fail("give either --event or --at", USAGE)
    moment = None if at is None else _moment(at)
    _check_text(pair)
    _check_text(event or "")
    try:
        client = CalendarSync(read_key(key_file), base_url=url)
    except ValueError as error:
        fail(error, USAGE)
    try:
        with client:
            answer = client.sync_pairs.explain(pair, event_id=event, at=moment)
    except CalendarSyncError as error:
        fail(error)
    if as_json:
        typer.echo(json.dumps(answer.model_dump(mode="json"), indent=2))
    else:
        _tell(answer)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        found = None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        found = None
    return found or fail("--at: give a time with its offset, such as 2026-03-02T09:00Z", USAGE)


def _check_text(argument: str) -> None:
    """Bytes that are not UTF-8 come from the command line as lone surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        fail("an id is not text in UTF-8", USAGE)


def _tell(answer: PairExplained) -> None:
    for problem in answer.problems:
        whose = problem.connection_id or "The pair"
        until = f" Until {_shown(problem.until)}." if problem.until else ""
        _say(f"{whose}: {problem.reason} (rule {problem.rule}). {problem.explanation}{until}")
        _say(f"  {problem.remedy}")
    for each in answer.explanations:
        _say(_headline(each))
        _say(f"  {each.reason} (rule {each.rule}): {each.explanation}")
        _say(f"  {each.remedy}")
        if each.retry_at is not None:
            _say(f"  It is tried again at {_shown(each.retry_at)}.")
    if answer.has_more:
        _say("There are more than are told here.")
    if not answer.explanations:
        _say("Neither calendar holds anything at that time.")
    for past in answer.operations:
        latency = "" if past.latency_ms is None else f", {past.latency_ms} ms after the change"
        _say(f"{_shown(past.created_at)} {past.sync_id}: {past.action}, {past.reason}{latency}")


def _say(line: str) -> None:
    """Ids are made by whoever made the event."""
    typer.echo(printable(line))


def _headline(each: Explanation) -> str:
    parts = [each.role, each.event_id]
    if each.starts_at is not None:
        parts.append(f"from {_shown(each.starts_at)}")
    parts += [f"in {each.connection_id}"] if each.connection_id else []
    parts += [f"({each.direction})"] if each.direction else []
    stands_for = f", stands for {each.source_id}" if each.source_id else ""
    copied = f", copy {each.copy_id}" if each.copy_id and each.role != "copy" else ""
    return f"{' '.join(parts)}: {each.decision}{copied}{stands_for}"


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%MZ}"
