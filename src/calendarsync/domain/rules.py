"""A pair's rules: which events are copied, and how much of them (SEMANTICS rules 2, 6 to 10 and 17)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from calendarsync.domain.event import Component, EventTime, EventType, Response, Status, Visibility
from calendarsync.domain.filters import Hours, TextField, TextFilter, is_shorter
from calendarsync.domain.fingerprint import Fingerprinter

TITLE_PLACEHOLDER = "{title}"


class SyncMode(StrEnum):
    BLOCKER = "blocker"
    FULL = "full"


class PrivateEvents(StrEnum):
    BLOCKER = "blocker"
    FULL = "full"
    SKIP = "skip"


class OnCopyEdited(StrEnum):
    """What becomes of a copy that a person edited (rule 17)."""

    RESTORE = "restore"
    KEEP = "keep"
    PROPAGATE = "propagate"


class OnCopyDeleted(StrEnum):
    """What becomes of a copy, or an instance of one, that a person deleted (rule 17)."""

    RESPECT = "respect"
    RESTORE = "restore"


class Detail(StrEnum):
    """How much of one event its copy shows."""

    BLOCKER = "blocker"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Window:
    """The span of time that is kept in step: `first` <= t < `last`, both in UTC."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Rules:
    """The options of a pair, with their defaults. `reminders` are minutes before the start."""

    sync_mode: SyncMode
    past_days: int = 1
    future_days: int = 365
    include_free: bool = False
    include_tentative: bool = True
    include_unanswered: bool = True
    include_all_day: bool = True
    title: str | None = None
    private_events: PrivateEvents = PrivateEvents.BLOCKER
    attendees_in_description: bool = False
    color: str | None = None
    reminders: tuple[int, ...] = ()
    timezone: str | None = None
    on_copy_edited: OnCopyEdited = OnCopyEdited.RESTORE
    on_copy_deleted: OnCopyDeleted = OnCopyDeleted.RESPECT
    relay: bool = False
    only_between: Hours | None = None
    title_contains: tuple[str, ...] = ()
    title_excludes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    min_minutes: int = 0

    @classmethod
    def from_options(cls, sync_mode: str, options: Mapping[str, Any]) -> Rules:
        """From options that were validated before. Raises TypeError on a name that is no option."""
        given = dict(options)
        for name in _LISTS & given.keys():
            given[name] = tuple(given[name])
        if given.get("only_between") is not None:
            given["only_between"] = Hours.from_option(given["only_between"])
        for name, kind in _CHOICES.items():
            if name in given:
                given[name] = kind(given[name])
        return cls(sync_mode=SyncMode(sync_mode), **given)

    def options(self) -> dict[str, Any]:
        """Every option by name, defaults included, as the API shows them."""
        values = {name: getattr(self, name) for name in _OPTIONS}
        hours = None if self.only_between is None else self.only_between.option()
        lists = {name: list(values[name]) for name in _LISTS}
        return {**values, **lists, "only_between": hours, "title": self.effective_title}

    @property
    def effective_title(self) -> str:
        """The block's title in `blocker` mode, else the template of titles."""
        if self.title is not None:
            return self.title
        return "Busy" if self.sync_mode is SyncMode.BLOCKER else TITLE_PLACEHOLDER

    @property
    def respects_deletions(self) -> bool:
        return self.on_copy_deleted is OnCopyDeleted.RESPECT

    @property
    def block_title(self) -> str:
        """The title of a block; in `full` mode that of a private event that is copied as a block."""
        return self.effective_title if self.sync_mode is SyncMode.BLOCKER else "Busy"

    def window(self, now: datetime) -> Window:
        return Window(now - timedelta(days=self.past_days), now + timedelta(days=self.future_days))

    def signature(self) -> str:
        """Equal for rules that do the same."""
        return repr([(field.name, str(getattr(self, field.name))) for field in fields(self)])

    def version(self, fingerprinter: Fingerprinter) -> str:
        """What a link notes of the rules that it was judged by."""
        return fingerprinter.of("rules", self.signature())

    def look(self) -> str:
        """Equal for rules that write the same copy of the same event."""
        return repr(
            (
                self.block_title,
                self.effective_title,
                self.attendees_in_description,
                self.color,
                self.reminders,
            )
        )

    def detail(self, component: Component) -> Detail:
        if self.sync_mode is SyncMode.BLOCKER:
            return Detail.BLOCKER
        private = component.visibility is not Visibility.PUBLIC
        return Detail.BLOCKER if private and self.private_events is not PrivateEvents.FULL else Detail.FULL

    def why_not(self, component: Component) -> str | None:
        """The reason for which an event, or an instance of one, is not copied; None where it is (rule 6)."""
        tentative = component.status is Status.TENTATIVE or component.response is Response.TENTATIVE
        reasons = (
            ("cancelled", component.status is Status.CANCELLED),
            ("declined", component.response is Response.DECLINED),
            ("working_location", component.event_type is EventType.WORKING_LOCATION),
            ("birthday", component.event_type is EventType.BIRTHDAY),
            ("free", component.transparent and not self.include_free),
            ("tentative", tentative and not self.include_tentative),
            ("unanswered", component.response is Response.NEEDS_ACTION and not self.include_unanswered),
            ("all_day", component.start.all_day and not self.include_all_day),
            (
                "private",
                self.sync_mode is SyncMode.FULL
                and self.private_events is PrivateEvents.SKIP
                and component.visibility is not Visibility.PUBLIC,
            ),
        )
        return next((reason for reason, applies in reasons if applies), None)

    @property
    def text_filters(self) -> tuple[TextFilter, ...]:
        """Each filter that an event's texts are needed for (rule 8)."""
        return tuple(
            each for each in (self._title_wanted, self._title_unwanted, self._category_wanted) if each
        )

    def why_not_texts(self, matches: Callable[[TextFilter], bool]) -> str | None:
        """The same for what the texts of an event decide. `matches` tells what a filter says of them (rule 8)."""
        reasons = (
            ("title_not_matching", self._title_wanted, False),
            ("title_excluded", self._title_unwanted, True),
            ("category_not_matching", self._category_wanted, False),
        )
        return next(
            (
                reason
                for reason, text_filter, against in reasons
                if text_filter is not None and matches(text_filter) is against
            ),
            None,
        )

    @property
    def filters_times(self) -> bool:
        """Whether `why_not_times` may ever give a reason."""
        return self.only_between is not None or self.min_minutes > 0

    def why_not_times(self, start: EventTime, end: EventTime, floating: str) -> str | None:
        """The same for when one instance is (rule 8). Floating times are read in the zone `floating`."""
        if self.only_between is not None and not self.only_between.touch(start, end, floating):
            return "outside_hours"
        return "too_short" if is_shorter(start, end, self.min_minutes, floating) else None

    @property
    def _title_wanted(self) -> TextFilter | None:
        return TextFilter.of(TextField.TITLE, self.title_contains) if self.title_contains else None

    @property
    def _title_unwanted(self) -> TextFilter | None:
        return TextFilter.of(TextField.TITLE, self.title_excludes) if self.title_excludes else None

    @property
    def _category_wanted(self) -> TextFilter | None:
        return TextFilter.of(TextField.CATEGORIES, self.categories) if self.categories else None


_CHOICES: Mapping[str, type[StrEnum]] = {
    "private_events": PrivateEvents,
    "on_copy_edited": OnCopyEdited,
    "on_copy_deleted": OnCopyDeleted,
}
_LISTS = frozenset({"reminders", "title_contains", "title_excludes", "categories"})
_OPTIONS = tuple(field.name for field in fields(Rules) if field.name != "sync_mode")


def is_busy(component: Component) -> bool:
    """Whether an entry of a calendar's own blocks the time that it stands at (rule 5)."""
    return (
        not component.transparent
        and component.status is not Status.CANCELLED
        and component.response is not Response.DECLINED
    )
