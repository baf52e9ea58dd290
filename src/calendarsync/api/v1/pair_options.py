"""The options of a pair as they come in; what they mean stands in `domain/rules.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from calendarsync.api.v1.css_colors import CSS_COLORS
from calendarsync.api.v1.fields import Body, Text, omitted
from calendarsync.domain.rules import TITLE_PLACEHOLDER, OnCopyEdited, Rules

_CLOCK_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _check_zone(value: str) -> str:
    if value not in _zones():
        raise ValueError("must be the IANA name of a time zone, such as Europe/Berlin")
    return value


def _check_clock_time(value: str) -> str:
    if not _CLOCK_TIME.fullmatch(value):
        raise ValueError("must be a time of day such as 09:00")
    return value


def _check_filter_text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def _check_color(value: str) -> str:
    if value.lower() not in CSS_COLORS:
        raise ValueError("must be the CSS3 name of a colour, such as tomato")
    return value.lower()


Zone = Annotated[str, Field(max_length=64), AfterValidator(_check_zone)]
"""The IANA name of a time zone."""


Weekday = Literal["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
ClockTime = Annotated[
    str,
    AfterValidator(_check_clock_time),
    Field(examples=["09:00"], json_schema_extra={"pattern": f"^{_CLOCK_TIME.pattern}$"}),
]
FilterTexts = Annotated[
    list[Annotated[Text, Field(min_length=1, max_length=200), AfterValidator(_check_filter_text)]],
    Field(max_length=20),
]


class OnlyBetween(Body):
    """Hours of some weekdays. All of `weekdays` where it is left out, whole days without `from` and `to`.

    Where `to` is earlier than `from`, it lies on the next day; the weekday is that of `from`. `timezone` is the
    IANA zone of these hours; without it that of the calendar counts, else the pair's, else UTC.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    weekdays: Annotated[list[Weekday], Field(min_length=1, max_length=7)] | None = None
    from_: ClockTime | None = Field(default=None, alias="from")
    to: ClockTime | None = Field(default=None, validate_default=True)
    timezone: Zone | None = None

    @field_validator("to")
    @classmethod
    def _check_to(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "from_" in info.data:
            begin = info.data["from_"]
            if (value is None) is not (begin is None):
                raise ValueError("goes together with from: give both, or neither for whole days")
            if value is not None and value == begin:
                raise ValueError("must be another time than from; leave both out for whole days")
        return value

    @model_validator(mode="after")
    def _check_something(self) -> Self:
        if self.weekdays is None and self.from_ is None:
            raise ValueError("must name weekdays, or from and to")
        return self


class Options(Body):
    """All optional; what is left out has its default. Null, where it may be given, is the default too."""

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
    only_between: OnlyBetween | None = Field(
        default_factory=omitted,
        description="Copy only what overlaps these hours, be it for a minute; all-day events by their weekdays.",
    )
    title_contains: FilterTexts | None = Field(
        default_factory=omitted,
        description="Copy only events whose title contains one of these texts, whatever their case. Default: any.",
    )
    title_excludes: FilterTexts | None = Field(
        default_factory=omitted,
        description="Copy no event whose title contains one of these texts, whatever their case.",
    )
    categories: FilterTexts | None = Field(
        default_factory=omitted,
        description="Copy only events that have one of these categories, whatever their case. Events at Google "
        "have none. Default: any.",
    )
    min_minutes: int = Field(
        default_factory=omitted,
        ge=0,
        le=1440,
        description="Copy nothing that is shorter, but for all-day events. Default 0.",
    )

    def given(self) -> dict[str, Any]:
        """What was given, null included."""
        return self.model_dump(include=self.model_fields_set)


def options_out(sync_mode: str, stored: dict[str, Any]) -> dict[str, Any]:
    return Rules.from_options(sync_mode, stored).options()


def option_problems(sync_mode: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with options in this mode, by field."""
    found = {"title": _title_problem(sync_mode, options.get("title"))}
    if sync_mode != "full" and options.get("on_copy_edited") == OnCopyEdited.PROPAGATE:
        found["on_copy_edited"] = "propagate needs full mode: a block shows nothing of its event"
    return [(f"options.{name}", problem) for name, problem in found.items() if problem]


def _title_problem(sync_mode: str, title: str | None) -> str | None:
    """What is wrong with a title in this mode; None where nothing is."""
    if title is None:
        return None
    if sync_mode != "full":
        return f"must not contain {TITLE_PLACEHOLDER} in blocker mode" if TITLE_PLACEHOLDER in title else None
    rest = title.replace(TITLE_PLACEHOLDER, "")
    return f"may hold {TITLE_PLACEHOLDER}, and no other braces" if "{" in rest or "}" in rest else None
