"""What a person deleted of copies, and where that counts no more (rule 17). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from calendarsync.domain.entry import by_copy_id
from calendarsync.domain.link import Link, LinkState
from calendarsync.sync.actions import FlowInput


def without_outdated(flow: FlowInput) -> tuple[FlowInput, list[Link]]:
    """The flow with what still counts, and the links that change by that.

    Where deletions are not respected none is remembered either, or what came back would go again with the option.
    Where a person brought the copy of an instance back, it counts as a copy again.
    """
    if flow.withdrawn:
        return flow, []
    if flow.scene.rules.respects_deletions:
        settled = _less_brought_back(flow)
    else:
        settled = tuple(map(_forgetting, flow.links))
    changed = [link for link, before in zip(settled, flow.links, strict=True) if link != before]
    return (replace(flow, links=settled), changed) if changed else (flow, [])


def _forgetting(link: Link) -> Link:
    times_hash = None if link.state is LinkState.RESPECTED else link.times_hash
    return replace(link, respected=(), times_hash=times_hash)


def _less_brought_back(flow: FlowInput) -> tuple[Link, ...]:
    standing = by_copy_id(flow.target.values())
    back: defaultdict[str, set[str]] = defaultdict(set)
    for link in flow.links:
        if link.state is LinkState.RESPECTED and link.source_original and link.respected:
            copy = standing.get(link.copy_id)
            if copy is not None and copy.ours:
                back[link.source_resource].update(link.respected)
    return tuple(_less(link, back.get(link.source_resource, ())) for link in flow.links)


def _less(link: Link, back: Iterable[str]) -> Link:
    return (
        replace(link, respected=tuple(name for name in link.respected if name not in back)) if back else link
    )


def respected(links: Iterable[Link]) -> tuple[str, ...]:
    """The instances of a series that stay away, whichever form it was copied in."""
    return tuple(dict.fromkeys(text for link in links for text in link.respected))
