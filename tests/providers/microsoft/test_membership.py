"""Whether an event that was found by its id is in the calendar that was asked."""

from __future__ import annotations

from typing import Any, cast

import pytest

from calendarsync.providers.base import Forbidden
from calendarsync.providers.microsoft.batching import Batcher, Request
from calendarsync.providers.microsoft.failures import Answer
from calendarsync.providers.microsoft.membership import Membership
from calendarsync.providers.microsoft.places import Places


class _Mailbox:
    """Answers with what is there; counts what it is asked."""

    def __init__(self, answer: Answer | None) -> None:
        self.asked: list[str] = []
        self._answer = answer

    async def send(self, request: Request) -> Answer:
        self.asked.append(request.path)
        if self._answer is None:
            raise Forbidden("no")
        return self._answer


def event(calendar_id: str) -> dict[str, Any]:
    link = f"https://graph.microsoft.com/v1.0/users('48d3')/calendars('{calendar_id}')"
    return {"id": "e", "calendar@odata.navigationLink": link}


def membership(answer: Answer | None) -> tuple[Membership, _Mailbox]:
    mailbox = _Mailbox(answer)
    return Membership(cast("Batcher", mailbox), Places("AAMkWork=")), mailbox


@pytest.mark.parametrize("found", [{"id": "e"}, event("AAMkWork="), event("AAMkWork%3D")])
async def test_what_names_this_calendar_or_none_is_here_without_asking(found: dict[str, Any]) -> None:
    here, mailbox = membership(None)
    assert await here.holds(found)
    assert mailbox.asked == []


async def test_another_calendar_of_the_mailbox_is_another_and_asked_for_once() -> None:
    here, mailbox = membership(Answer(200, {}, {"id": "AAMkOther="}))
    assert not await here.holds(event("AAMkOther="))
    assert not await here.holds(event("AAMkOther="))
    assert mailbox.asked == ["/calendars/AAMkOther%3D?$select=id"]


@pytest.mark.parametrize(
    "answer",
    [Answer(404, {}, {}), Answer(200, {}, {"id": "AAMkWork="}), None],
    ids=["not in this mailbox", "another name of the same", "not to be seen"],
)
async def test_what_the_owner_of_a_shared_calendar_calls_it_is_no_other_calendar(
    answer: Answer | None,
) -> None:
    here, _ = membership(answer)
    assert await here.holds(event("AAMkOwners="))
