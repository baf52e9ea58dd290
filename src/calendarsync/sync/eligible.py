"""Which sources, and which instances of them, a pair's rules let through (rules 6 and 8). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from calendarsync.domain.entry import Entry
from calendarsync.domain.event import Component
from calendarsync.domain.filters import TextFilter
from calendarsync.domain.recurrence import Instance, RecurrenceError, expand, span
from calendarsync.domain.recurrence_ends import own_end
from calendarsync.sync.shape import Scene

_YEAR = timedelta(days=400)
"""What changes of the clocks do to a series, and most of what its rule does, shows within a year."""


class TextsUnknown(Exception):  # noqa: N818 - it says what is missing
    """Nobody has judged the texts of this event yet, and its copy is left as it is (rule 8)."""


class Judge:
    """Says of one entry's components and instances why they are not copied."""

    def __init__(self, entry: Entry, scene: Scene) -> None:
        self.entry = entry
        self.scene = scene
        rules = scene.rules
        self._signatures = {each: each.signature(scene.fingerprinter) for each in rules.text_filters}

    def why_not(self, component: Component) -> str | None:
        """The reason that holds for all instances of a component. Raises TextsUnknown."""
        rules = self.scene.rules
        return rules.why_not(component) or self.why_not_texts(component)

    def why_not_texts(self, component: Component) -> str | None:
        """Raises TextsUnknown."""
        verdicts = self.entry.verdicts.get(component.original, {})

        def matches(text_filter: TextFilter) -> bool:
            verdict = verdicts.get(self._signatures[text_filter])
            if verdict is None:
                raise TextsUnknown
            return verdict

        return self.scene.rules.why_not_texts(matches)

    def why_not_instance(self, instance: Instance) -> str | None:
        """The first reason of all that hold for an instance. Raises TextsUnknown."""
        return self.why_not(instance.component) or self._why_not_times(instance)

    def why_not_override(self, component: Component) -> str | None:
        """The same for the one instance that a component stands for, wherever it is. Raises TextsUnknown."""
        if reason := self.why_not(component):
            return reason
        scene = self.scene
        _, end = own_end(component, scene.floating)
        return scene.rules.why_not_times(component.start, end, scene.floating)

    def takes_whole_series(self, instances: Sequence[Instance]) -> bool:
        """Whether no instance of the master is kept out by its own times. `instances` are those in the window.

        So many beside it are looked at that the answer stays the same as the window slides.
        """
        scene = self.scene
        if not scene.rules.filters_times:
            return True
        if not self._all_pass(instances):
            return False
        window, components = scene.window, self.entry.components
        try:
            _, end = span(components, scene.floating)
            last = window.first + _YEAR if end is None else min(end, window.first + _YEAR)
            beside = ((last - _YEAR, window.first), (window.last, last))
            return all(
                self._all_pass(expand(components, begin, over, scene.floating))
                for begin, over in beside
                if begin < over
            )
        except RecurrenceError:
            return False

    def _all_pass(self, instances: Sequence[Instance]) -> bool:
        return not any(
            self._why_not_times(each) for each in instances if each.component.recurrence_id is None
        )

    def _why_not_times(self, instance: Instance) -> str | None:
        return self.scene.rules.why_not_times(instance.start, instance.end, self.scene.floating)
