"""What planning takes and gives: flows in, actions out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from calendarsync.domain.amendment import Times
from calendarsync.domain.entry import Entry
from calendarsync.domain.event import EventTime
from calendarsync.domain.link import Direction, Link
from calendarsync.domain.relay import NotRelayed
from calendarsync.sync.shape import Scene, Wanted
from calendarsync.sync.wanted import Skipped


@dataclass(frozen=True, slots=True)
class Create:
    """`link` is as it shall be once the write is answered, but for its `copy_hash`.

    `after` names the source resource whose other creates and updates have to be done first (rule 12).
    """

    wanted: Wanted
    link: Link
    reason: str
    after: str | None = field(default=None, kw_only=True)
    action: ClassVar = "create"

    @property
    def event_id(self) -> str:
        return self.wanted.entry.id

    @property
    def original(self) -> str:
        return self.wanted.original

    @property
    def copy_id(self) -> str:
        return self.link.copy_id


@dataclass(frozen=True, slots=True)
class Update(Create):
    """As a create, of a copy that is there."""

    copy: Entry
    action: ClassVar = "update"


@dataclass(frozen=True, slots=True)
class Edited:
    """One component of a copy that a person edited (rule 17).

    `key` names it in the link's fields, `shown` in the copy's contents, `source` in the source's. `original` and
    `usual` are as in `Change`. `times` are its new ones in the source's terms, None where they stay; `retold`: its
    texts are others.
    """

    key: str
    shown: str
    original: EventTime | None
    source: str
    usual: Times | None
    times: Times | None
    retold: bool


@dataclass(frozen=True, slots=True)
class Propagate(Update):
    """Carry a person's edit of the copy into its source; `link` is as after the update that puts the copy right
    where there turns out to be nothing to carry, and `standing` as it stands.

    `resumes`: an earlier run began with it, and may have done it.
    """

    edits: tuple[Edited, ...]
    standing: Link
    resumes: bool = False
    action: ClassVar = "propagate"


@dataclass(frozen=True, slots=True)
class Delete:
    """`link` is None for a twin. `exempt` deletions were asked for by the owner's own change (rule 21).

    `after` as in `Create`: the source's new form has to be complete first.
    """

    link: Link | None
    copy: Entry
    event_id: str
    original: str
    reason: str
    exempt: bool = False
    after: str | None = None
    action: ClassVar = "delete"

    @property
    def copy_id(self) -> str:
        return self.copy.uid


@dataclass(frozen=True, slots=True)
class Keep:
    """A change of our records alone; `action` and `reason` are logged where `reason` is given.

    `taken`: the copy is taken as it stands, for what is wanted, so that what it shows is to be remembered.
    """

    link: Link
    action: str = ""
    reason: str = ""
    taken: tuple[Wanted, Entry] | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    """A link whose copy and source are both gone."""

    link: Link


Write = Create | Update | Delete


@dataclass(frozen=True, slots=True)
class Affected:
    """A copy that a guard asks about: by its source and id, and when it begins, as `moment_key` writes it."""

    event_id: str
    original: str
    copy_id: str
    start: str | None


@dataclass(frozen=True, slots=True)
class Case:
    """What was decided of one event, or one instance of it, and why: one row of the planner's table.

    `decision` is an action's name, `skip`, or `none` where the copy stays as it is.
    """

    event_id: str
    original: str
    decision: str
    reason: str
    copy_id: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that failed before: it is tried again when `tried_hash` differs or at `retry_at` (rule 22)."""

    code: str
    tried_hash: str
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class FlowInput:
    """One direction of a pair, as the database shows it.

    `other_links`: copy ids in the target calendar that belong to other pairs, and `other_origins` what those stand
    for. `source_copies`: ids in the source calendar that links hold or that are derived from the target's events:
    copies, though their mark may be stripped. `kept`: ids in the source calendar that a removed pair left as
    ordinary events (rule 20). `withdrawn`: the pair does not go in this direction any more. `amendable`: what is in
    the source calendar can be changed. `not_relayed` are the copies in the source calendar that do not travel on,
    with the reason; those that do are the scene's `roots`.
    """

    direction: Direction
    scene: Scene
    target_calendar: str
    target_floating: str
    source: Mapping[str, Entry]
    target: Mapping[str, Entry]
    links: tuple[Link, ...]
    other_links: frozenset[str]
    source_copies: frozenset[str]
    kept: frozenset[str]
    failures: Mapping[tuple[str, str], Failure]
    looked_at_version: int
    now: datetime
    program: str
    adopt_foreign: bool = False
    withdrawn: bool = False
    amendable: bool = False
    other_origins: frozenset[str] = frozenset()
    not_relayed: Mapping[str, NotRelayed] = field(default_factory=dict)


@dataclass(slots=True)
class FlowPlan:
    """`processed` are the source resources that changed, or that something is done for.

    `vanished` are copies that are there no more, `foreign` those that could be adopted after a confirmation
    (rule 4). `again`: what was noted here asks for another plan. `cases` holds every decision, that nothing is
    to be done as well. `waiting`: for what a copy in the source calendar stands for, which may be found without a
    change in either calendar.
    """

    direction: Direction
    writes: list[Write] = field(default_factory=list)
    keeps: list[Keep] = field(default_factory=list)
    forgets: list[Forget] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    processed: set[str] = field(default_factory=set)
    live_copies: int = 0
    vanished: list[Affected] = field(default_factory=list)
    foreign: list[Affected] = field(default_factory=list)
    again: bool = False
    waiting: bool = False
    cases: list[Case] = field(default_factory=list)

    @property
    def deletes(self) -> list[Delete]:
        return [write for write in self.writes if isinstance(write, Delete)]
