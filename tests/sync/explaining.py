"""Asking a desk's installation why an event is where it is, as the API does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from calendarsync.sync.explain import Explanation
from calendarsync.sync.explaining import Answer, explain
from calendarsync.sync.inputs import Tools
from tests.testbed.memory_desk import MemoryDesk

Told = tuple[str, str, int, str]
"""Role, decision, rule and reason."""


async def ask(at: MemoryDesk, pair: str, question: str | datetime) -> Answer:
    """Every explanation has words, and says what would change it."""
    tools = Tools(at.app.keyring.mark_keys, at.app.fingerprinter, at.app.program)
    now = at.app.clock()
    since = now - timedelta(days=30)
    answer = await explain(at.app.db, pair, tools, question, now=now, logs_since=since)
    assert answer is not None
    assert answer.explanations
    for each in answer.explanations:
        assert each.text
        assert each.because.remedy
    return answer


def told(explanations: Sequence[Explanation]) -> list[Told]:
    return [(each.role.value, each.decision, each.because.rule, each.reason) for each in explanations]


def troubles(answer: Answer) -> list[tuple[int, str]]:
    assert all(each.because.remedy for each in answer.troubles)
    return [(each.because.rule, each.reason) for each in answer.troubles]
