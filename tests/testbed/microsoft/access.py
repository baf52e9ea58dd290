"""Who may see and change what.

Sources: https://learn.microsoft.com/graph/permissions-reference, outlook-get-shared-events-calendars.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import errors
from .ids import find
from .requests import Request
from .series import View
from .state import Calendar, Mailbox, World


@dataclass
class Call:
    """A request on somebody's mailbox. `args`: the ids in its path."""

    world: World
    request: Request
    mailbox: Mailbox
    args: dict[str, str]

    @property
    def calendar(self) -> Calendar:
        """The calendar that the path names, else the default one. Raises 404."""
        named = self.args.get("calendar")
        for calendar in self.world.visible(self.mailbox):
            if calendar.id == named or (named is None and calendar.default):
                if self._reaches(calendar):
                    return calendar
                raise errors.access_denied()
        raise errors.not_found()

    @property
    def view(self) -> View:
        """The event that the path names, in whatever calendar the path may stand. Raises 404."""
        found = find(self.world, self.args["event"])
        if found.event.calendar not in self.world.visible(self.mailbox):
            raise errors.not_found()
        if not self._reaches(found.event.calendar):
            raise errors.access_denied()
        return found

    @property
    def body(self) -> dict[str, Any]:
        """Raises 400."""
        if not isinstance(self.request.body, dict):
            message = "Unable to read JSON request payload."
            raise errors.bad_request("BadRequest", message)
        return self.request.body

    def _reaches(self, calendar: Calendar) -> bool:
        """Somebody's own token reaches one's own mailbox, and what others share with one."""
        viewer = self.request.grant.mailbox
        return viewer is None or viewer is self.mailbox or viewer.email in calendar.shared

    def check_editable(self, calendar: Calendar) -> None:
        """Raises 403."""
        viewer = self.request.grant.mailbox or self.mailbox
        mine = calendar.owner is viewer
        if calendar.read_only or not (mine or calendar.shared.get(viewer.email, False)):
            raise errors.access_denied()


def open_mailbox(world: World, request: Request) -> tuple[Mailbox, list[str]]:
    """Whose mailbox the path is about, and the rest of the path. Raises 400, 403 or 404."""
    viewer = request.grant.mailbox
    first, *rest = request.path
    if first.casefold() == "me":
        if viewer is None:
            message = "/me request is only valid with delegated authentication flow."
            raise errors.bad_request("BadRequest", message)
        mailbox = viewer
    elif first.casefold() == "users" and rest:
        mailbox, rest = world.mailbox(rest[0]), rest[1:]
    else:
        raise errors.no_segment(first)
    if viewer is not None and viewer is not mailbox and not _shares(world, mailbox, viewer):
        raise errors.access_denied()
    return mailbox, rest


def _shares(world: World, owner: Mailbox, viewer: Mailbox) -> bool:
    return any(one.owner is owner and viewer.email in one.shared for one in world.calendars.values())


def check_scope(request: Request, needed: str) -> None:
    """Raises 403. What may write may read; `.All` and `.Shared` go further than the plain scope."""
    for scope in request.grant.scopes:
        plain = scope.removesuffix(".All").removesuffix(".Shared")
        if plain == needed or plain == needed.replace(".Read", ".ReadWrite"):
            return
    raise errors.request_denied() if needed.startswith("User") else errors.access_denied()
