"""The options of a pair as they come in; what they mean stands in `domain/rules.py`."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from calendarsync.api.v1.css_colors import CSS_COLORS
from calendarsync.api.v1.fields import Body, Text, omitted
from calendarsync.domain.rules import TITLE_PLACEHOLDER, Rules


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _check_zone(value: str) -> str:
    if value not in _zones():
        raise ValueError("must be the IANA name of a time zone, such as Europe/Berlin")
    return value


def _check_color(value: str) -> str:
    if value.lower() not in CSS_COLORS:
        raise ValueError("must be the CSS3 name of a colour, such as tomato")
    return value.lower()


Zone = Annotated[str, Field(max_length=64), AfterValidator(_check_zone)]
"""The IANA name of a time zone."""


class Options(Body):
    """All optional; what is left out has its default. `title`, `color` and `timezone` may be null: the default."""

    past_days: int = Field(default_factory=omitted, ge=0, le=36_500, description="Default 1.")
    future_days: int = Field(default_factory=omitted, ge=1, le=3_650, description="Default 365.")
    include_free: bool = Field(default_factory=omitted, description="Copy free events. Default false.")
    include_tentative: bool = Field(default_factory=omitted, description="Default true.")
    include_unanswered: bool = Field(
        default_factory=omitted, description="Copy invitations that the owner has not answered. Default true."
    )
    include_all_day: bool = Field(default_factory=omitted, description="Default true.")
    title: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        default_factory=omitted,
        description="In `blocker` mode the title of the blocks, default `Busy`; in `full` mode a template, default "
        "`{title}`.",
    )
    private_events: Literal["blocker", "full", "skip"] = Field(
        default_factory=omitted,
        description="In `full` mode: how private events are copied. Default `blocker`.",
    )
    attendees_in_description: bool = Field(
        default_factory=omitted, description="In `full` mode: list the attendees' names. Default false."
    )
    color: Annotated[str, Field(max_length=40), AfterValidator(_check_color)] | None = Field(
        default_factory=omitted, description="CSS3 name of a colour."
    )
    reminders: list[Annotated[int, Field(ge=0, le=40_320)]] = Field(
        default_factory=omitted, max_length=5, description="Minutes before the start. Default none."
    )
    timezone: Zone | None = Field(
        default_factory=omitted, description="IANA zone for floating times in a calendar that has no zone."
    )
    on_copy_edited: Literal["restore", "keep", "propagate"] = Field(
        default_factory=omitted,
        description="What becomes of a copy that a person edits: `restore` puts it right, `keep` leaves it until "
        "its source changes, `propagate` (in `full` mode) carries the edit into the source. Default `restore`.",
    )
    on_copy_deleted: Literal["respect", "restore"] = Field(
        default_factory=omitted,
        description="What becomes of a copy that a person deletes: `respect` leaves it away until its source is "
        "moved, `restore` makes it again. Default `respect`.",
    )
    relay: bool = Field(
        default_factory=omitted,
        description="Copies in the source calendar are copied on, as what they stand for. Default false.",
    )

    def given(self) -> dict[str, Any]:
        """What was given, null included."""
        return self.model_dump(include=self.model_fields_set)


def options_out(sync_mode: str, stored: dict[str, Any]) -> dict[str, Any]:
    return Rules.from_options(sync_mode, stored).options()


def title_problem(sync_mode: str, title: str | None) -> str | None:
    """What is wrong with a title in this mode; None where nothing is."""
    if title is None:
        return None
    if sync_mode != "full":
        return f"must not contain {TITLE_PLACEHOLDER} in blocker mode" if TITLE_PLACEHOLDER in title else None
    rest = title.replace(TITLE_PLACEHOLDER, "")
    return f"may hold {TITLE_PLACEHOLDER}, and no other braces" if "{" in rest or "}" in rest else None
