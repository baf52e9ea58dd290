"""Which events are to be read once more, because a text filter has not been told of them (rule 8). Pure."""

from __future__ import annotations

from calendarsync.domain.recurrence import may_touch
from calendarsync.sync.actions import FlowInput
from calendarsync.sync.relay import sources


def unjudged(flow: FlowInput) -> list[str]:
    """The source resources whose texts are needed to plan this flow."""
    scene = flow.scene
    wanted = {each.signature(scene.fingerprinter) for each in scene.rules.text_filters}
    if not wanted:
        return []
    return [
        entry.id
        for entry in sources(flow)
        if entry.problem is None
        and any(not wanted <= entry.verdicts.get(each.original, {}).keys() for each in entry.components)
        and may_touch(entry.components, scene.window.first, scene.window.last, scene.floating)
    ]
