"""Any history of calendars, people, faults and pairs, and what has to hold after it: a state machine."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from calendarsync.providers.icalendar import read_resource
from tests.sync.machine import people
from tests.sync.machine.people import BROKEN, Draft
from tests.sync.machine.world import Pair, World
from tests.testbed.difficult import Fault, Temper
from tests.testbed.installation import Installation

T = TypeVar("T")
NAMES = st.sampled_from("ab")
ANY = st.integers(0, 7)
OPTIONS = st.sampled_from(
    [
        {},
        {"include_tentative": False},
        {"include_free": True},
        {"include_all_day": False},
        {"include_unanswered": False},
        {"title": "Away"},
        {"future_days": 10},
        {"past_days": 8},
        {"min_minutes": 90},
        {"title_excludes": ["retro"]},
        {"only_between": {"weekdays": ["MO", "TU", "WE"], "from": "09:00", "to": "17:00", "timezone": None}},
        {"on_copy_deleted": "restore"},
        {"on_copy_edited": "keep"},
    ]
)
WINDOW = {"past_days": 1, "future_days": 60}
MODES = st.sampled_from(["blocker", "full"])
DIRECTIONS = st.sampled_from(["bidirectional", "bidirectional", "a_to_b", "b_to_a"])
TEMPERS = st.builds(
    Temper,
    provider=st.sampled_from(["caldav", "google", "microsoft"]),
    batch_size=st.sampled_from([1, 20]),
    page=st.integers(1, 3),
    etags=st.sampled_from(["strong", "flaky", "late", "none"]),
    lag=st.sampled_from([0, 0, 1, 2]),
    windowed=st.booleans(),
    dead_ids=st.booleans(),
    repeats=st.booleans(),
    backwards=st.booleans(),
    rewrites=st.sampled_from(["never", "never", "at once", "once", "always"]),
)
EVENTS = st.tuples(NAMES, st.integers(0, 2), people.drafts(), st.booleans())
FAULTS = st.dictionaries(st.integers(1, 8), st.sampled_from(list(Fault)), max_size=3)


def _has_events(self: Convergence) -> bool:
    return bool(self.world.written)


def _has_copies(self: Convergence) -> bool:
    return any(store.ours for store in self.world.stores.values())


def _has_pairs(self: Convergence) -> bool:
    return any(pair.removal is None for pair in self.world.pairs)


def _any_pairs(self: Convergence) -> bool:
    return bool(self.world.pairs)


class Convergence(RuleBasedStateMachine):
    """Two or three calendars, up to three pairs. What it leaves out, and why, stands with each rule."""

    def __init__(self, app: Installation, runner: asyncio.Runner) -> None:
        super().__init__()
        self.runner = runner
        self.world = World(app)
        self.pasted = 0

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    @initialize(
        a=TEMPERS,
        b=TEMPERS,
        mode=MODES,
        direction=DIRECTIONS,
        drafts=st.lists(EVENTS, min_size=1, max_size=5),
        rest=st.booleans(),
    )
    def begin(
        self,
        a: Temper,
        b: Temper,
        mode: str,
        direction: str,
        drafts: list[tuple[str, int, Draft, bool]],
        rest: bool,
    ) -> None:
        self.do(self.world.begin({"a": a, "b": b}))
        self.do(self.world.make_pair("a", "b", mode, direction, dict(WINDOW)))
        for draft in drafts:
            self.put(*draft)
        if rest:
            self.settle()

    def teardown(self) -> None:
        if self.world.stores:
            self.do(self.world.settle())

    # People and their own events

    @rule(name=NAMES, number=st.integers(0, 2), draft=people.drafts(), shared=st.booleans())
    def write(self, name: str, number: int, draft: Draft, shared: bool) -> None:
        self.put(name, number, draft, shared)

    def put(self, name: str, number: int, draft: Draft, shared: bool) -> None:
        """`shared`: the same meeting may stand in another calendar too (rule 5)."""
        uid = f"meeting-{number}" if shared else f"uid-{name}{number}"
        resource = f"{'m' if shared else name}{number}.ics"
        self.world.put(name, resource, draft.render(uid), draft)

    def _own(self, name: str, index: int) -> tuple[str, str]:
        """One of people's events in this calendar; where there is none, of another."""
        mine = [each for each in self.world.written if each[0] == name] or list(self.world.written)
        return mine[index % len(mine)]

    @precondition(_has_events)
    @rule(name=NAMES, index=ANY, tweak=people.TWEAKS)
    def tweak(self, name: str, index: int, tweak: tuple[object, ...]) -> None:
        name, resource = self._own(name, index)
        draft = self.world.drafts.get((name, resource))
        if draft is None:
            return
        uid = read_resource("", None, self.world.written[name, resource]).uid or "uid"
        match tweak:
            case ("break",):
                self.world.put(name, resource, BROKEN.encode(), None)
            case ("split", int(number)):
                parts = people.split(draft, number)
                if parts is not None:
                    self.pasted += 1
                    self.world.put(name, resource, parts[0].render(uid), parts[0])
                    rest = f"rest{self.pasted}.ics"
                    self.world.put(name, rest, parts[1].render(f"{uid}-rest{self.pasted}"), parts[1])
            case _:
                changed = people.tweaked(draft, tweak)
                if changed.holds():
                    self.world.put(name, resource, changed.render(uid), changed)

    @precondition(_has_events)
    @rule(name=NAMES, index=ANY)
    def remove(self, name: str, index: int) -> None:
        self.world.remove(*self._own(name, index))

    # People and copies

    def _copy(self, name: str, index: int) -> tuple[str, str]:
        """One of the copies in this calendar; where there is none, of another."""
        copies = [(there, copy) for there, store in self.world.stores.items() for copy in sorted(store.ours)]
        here = [each for each in copies if each[0] == name] or copies
        return here[index % len(here)]

    @precondition(_has_copies)
    @rule(name=NAMES, index=ANY, how=st.sampled_from(["title", "later", "tomorrow", "strip"]))
    def edit_copy(self, name: str, index: int, how: str) -> None:
        """Once until all is at rest, and only then where the provider rewrites whatever we write.

        Who undoes twice in a row what we put right is given way to, and we cannot tell who it is (rule 17).
        """
        name, copy = self._copy(name, index)
        rewritten = self.world.stores[name].temper.rewrites == "always" and not self.world.still
        if (name, copy) in self.world.edited or rewritten:
            return
        if how == "strip":
            self.world.strip(name, copy)
            return
        data = self.world.stores[name].resources[copy][1]
        hours = {"title": 0, "later": 1, "tomorrow": 24}[how]
        self.world.edit(name, copy, people.shifted(data, hours=hours) if hours else people.retitled(data))

    @precondition(_has_copies)
    @rule(
        name=NAMES, index=ANY, number=st.integers(0, 5), how=st.sampled_from(["whole", "instance", "cancel"])
    )
    def delete_copy(self, name: str, index: int, number: int, how: str) -> None:
        name, copy = self._copy(name, index)
        if how == "whole":
            self.world.delete_copy(name, copy)
        else:
            self.world.delete_instance(name, copy, number, cancel=how == "cancel")

    @precondition(_has_copies)
    @rule(name=NAMES, index=ANY, other=st.booleans(), same_uid=st.booleans())
    def paste(self, name: str, index: int, other: bool, same_uid: bool) -> None:
        """Into the other calendar a copy may come with its UID, as a file that is imported."""
        name, copy = self._copy(name, index)
        self.pasted += 1
        data = self.world.stores[name].resources[copy][1]
        there = "ab".replace(name, "") if other else name
        uid = read_resource("", None, data).uid
        taken = self.world.stores[there].holds(uid)
        own = data if other and same_uid and not taken else people.with_uid(data, f"pasted-{self.pasted}")
        self.world.put(there, f"pasted{self.pasted}.ics", own, None)

    # Pairs

    def _pair(self, index: int) -> Pair:
        there = [pair for pair in self.world.pairs if pair.removal is None]
        return there[index % len(there)]

    @precondition(_has_pairs)
    @rule(
        index=ANY, what=st.one_of(st.tuples(OPTIONS, MODES), st.tuples(OPTIONS, MODES), DIRECTIONS, st.none())
    )
    def reconfigure(self, index: int, what: tuple[dict[str, Any], str] | str | None) -> None:
        """None: it is paused, or resumed."""
        pair = self._pair(index)
        if what is None:
            pair.paused = not pair.paused
            self.do(self.world.change(pair, status="paused" if pair.paused else "active"))
        elif isinstance(what, str):
            pair.direction = what
            self.world.doubt(pair.a, pair.b)
            self.do(self.world.change(pair, direction=what))
        else:
            pair.options, pair.mode = {**WINDOW, **what[0]}, what[1]
            self.do(self.world.change(pair, options=pair.options, sync_mode=pair.mode))

    @rule(index=ANY, keep=st.booleans(), mode=MODES, direction=DIRECTIONS, turned=st.booleans())
    def replace_pair(self, index: int, keep: bool, mode: str, direction: str, turned: bool) -> None:
        """A pair is deleted; or where none is left that is not about to go, another one is made."""
        if _has_pairs(self):
            pair = self._pair(index)
            pair.removal = "keep" if keep else "remove"
            self.world.doubt(pair.a, pair.b)
            self.do(self.world.change(pair, removal=pair.removal))
        else:
            ends = ("b", "a") if turned else ("a", "b")
            self.do(self.world.make_pair(*ends, mode, direction, dict(WINDOW)))

    # Time and the calendars' servers

    @rule(name=NAMES, index=ANY, what=st.sampled_from([1, 7, 24, 24 * 3, 24 * 9, "token", "version"]))
    def meanwhile(self, name: str, index: int, what: int | str) -> None:
        """Hours go by, or a server forgets its tokens, or gives an event another version."""
        store = self.world.stores[name]
        if what == "token":
            store.forget_tokens()
        elif what == "version" and store.resources:
            store.touch(list(store.resources)[index % len(store.resources)])
        elif isinstance(what, int):
            self.world.app.clock.advance(hours=what)

    # Runs

    def _any_pair(self, index: int) -> Pair:
        return self.world.pairs[index % len(self.world.pairs)]

    @precondition(_any_pairs)
    @rule(index=ANY, full=st.booleans())
    def run(self, index: int, full: bool) -> None:
        self.do(self.world.run(self._any_pair(index), full=full))

    @precondition(_any_pairs)
    @rule(index=ANY)
    def run_once_more(self, index: int) -> None:
        self.do(self.world.run(self._any_pair(index)))

    @precondition(_any_pairs)
    @rule(index=ANY, a=FAULTS, b=FAULTS, full=st.booleans())
    def run_with_faults(self, index: int, a: dict[int, Fault], b: dict[int, Fault], full: bool) -> None:
        self.do(self.world.run(self._any_pair(index), {"a": a, "b": b}, full=full))

    @precondition(_any_pairs)
    @rule(index=ANY, effects=st.integers(0, 30))
    def run_and_be_killed(self, index: int, effects: int) -> None:
        self.do(self.world.run(self._any_pair(index), kill_after=effects))

    @precondition(lambda self: self.world.stirred)
    @rule()
    def settle(self) -> None:
        self.do(self.world.settle())
