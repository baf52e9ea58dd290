"""Every reason that a decision has: by which rule, in our words, and what would change it. Pure.

The tables in docs/guide/skipped-events.md and docs/guide/explain.md are made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """`rule` is the number of the rule of a sync that decides. Both texts are whole sentences."""

    code: str
    rule: int
    explanation: str
    remedy: str


UNREADABLE = (
    Reason(
        "unreadable",
        22,
        "The entry is damaged: it breaks off, its parts are wrongly nested, a line that says when it is cannot be "
        "read, or one entry of a CalDAV calendar holds several different events, which CalDAV forbids.",
        "Save it again, or import the file it came from anew: programs that import divide it.",
    ),
    Reason(
        "no_event",
        22,
        "It is no event, but a task, a journal entry or the like. (This does not make a run `partial`.)",
        "Nothing: only events are copied.",
    ),
    Reason(
        "no_start",
        22,
        "It does not say when it begins, or not in a way that can be read.",
        "Give it a start.",
    ),
    Reason(
        "end_before_start",
        22,
        "It ends before it begins, or its end or length cannot be read.",
        "Correct its end.",
    ),
    Reason(
        "unknown_zone",
        11,
        "Its times are in a time zone that is neither a known name nor described in the event. A guess might be "
        "hours off.",
        "Choose its time zone anew, and save it.",
    ),
    Reason(
        "bad_recurrence",
        22,
        "It repeats by a rule, or on dates, that cannot be read, or by a calendar other than the Gregorian one.",
        "Set anew how it repeats.",
    ),
    Reason(
        "too_many_instances",
        22,
        "It repeats more than 10,000 times in a year or in the window, or every few seconds; or its COUNT is "
        "counted over more than 50,000 times to get there.",
        "Give it an end, or make the pair's window smaller.",
    ),
    Reason(
        "texts_unknown",
        8,
        "A filter by title or category was set, and the event could not be read once more to see "
        "whether it fits: it "
        "has changed or gone in the same moment.",
        "Nothing: the next run looks again.",
    ),
    Reason(
        "too_large",
        22,
        "It is larger than an event can sensibly be: 8 MB, 100,000 lines, or 5,000 changed instances.",
        "Take out attachments.",
    ),
)
"""It cannot be read."""

BY_RULE = (
    Reason("cancelled", 6, "It is cancelled.", "Nothing: what does not take place is not copied."),
    Reason("declined", 6, "You declined it.", "Accept it."),
    Reason("free", 6, "It is shown as free.", "Show it as busy, or set the pair's `include_free`."),
    Reason(
        "tentative",
        6,
        "It is tentative, or you answered with maybe.",
        "Accept it, or set the pair's `include_tentative`.",
    ),
    Reason(
        "unanswered",
        6,
        "You have not answered the invitation.",
        "Answer it, or set the pair's `include_unanswered`.",
    ),
    Reason("all_day", 6, "It is an all-day event.", "Set the pair's `include_all_day`."),
    Reason("private", 10, "It is private.", "Set the pair's `private_events` to `blocker` or `full`."),
    Reason("working_location", 6, "It only says where you work.", "Nothing: it does not block your time."),
    Reason("birthday", 6, "It is a birthday.", "Nothing: it does not block your time."),
    Reason(
        "outside_hours",
        8,
        "It does not overlap the hours of the pair, not for a minute. Of a series this is said "
        "once, though some of its "
        "instances are copied.",
        "Set the pair's `only_between`, or move the event.",
    ),
    Reason(
        "title_not_matching",
        8,
        "Its title contains none of the texts that are asked for.",
        "Set the pair's `title_contains`, or give it another title.",
    ),
    Reason(
        "title_excluded",
        8,
        "Its title contains one of the texts that are not wanted.",
        "Set the pair's `title_excludes`, or give it another title.",
    ),
    Reason(
        "category_not_matching",
        8,
        "It has none of the categories that are asked for. Events at Google have none at all.",
        "Set the pair's `categories`, or give it another category.",
    ),
    Reason("too_short", 8, "It is shorter than what is copied.", "Set the pair's `min_minutes`."),
    Reason(
        "outside_window",
        7,
        "It lies outside the span that is kept in step. The log does not mention it.",
        "Wait until it comes into the span, or set the pair's `past_days` or `future_days`.",
    ),
    Reason(
        "same_meeting",
        5,
        "You were invited to it in the other calendar too, and it blocks your time there.",
        "Nothing, unless you decline it there: then it is copied.",
    ),
    Reason(
        "copied_already",
        3,
        "The other calendar has a copy of it from another pair, which takes its place.",
        "Nothing: this pair takes over when that copy goes.",
    ),
    Reason(
        "copy_edit_kept",
        17,
        "Somebody edited the copy, and the pair's option `on_copy_edited` is `keep`.",
        "The copy is written anew when its source changes, or with `on_copy_edited` set to `restore`.",
    ),
    Reason(
        "copy_deleted_by_person",
        17,
        "Somebody deleted its copy; it stays away until the event's time changes.",
        "Change the event's time, or set the pair's `on_copy_deleted` to `restore`.",
    ),
    Reason(
        "instance_deleted_by_person",
        17,
        "The same, for one instance of a copied series.",
        "Change that instance's time, or set the pair's `on_copy_deleted` to `restore`.",
    ),
)
"""It is not to be copied."""

NOT_WRITTEN = (
    Reason(
        "refused_by_provider",
        22,
        "The calendar's server does not take this event. It is tried again once a day.",
        "See whether the server takes a similar event from you.",
    ),
    Reason(
        "id_taken",
        3,
        "Where the copy would stand is something that is not known to be ours: most often the copy of another "
        "account or installation.",
        "Nothing, if it shows the event.",
    ),
    Reason(
        "changed_meanwhile",
        23,
        "Somebody changed the copy at the same moment.",
        "Nothing: the next run looks again.",
    ),
    Reason(
        "resource_gone", 23, "The copy vanished at the same moment.", "Nothing: the next run looks again."
    ),
    Reason(
        "provider_unavailable",
        22,
        "The server failed at this one event.",
        "See the server's log if it stays.",
    ),
    Reason(
        "copy_unreadable",
        17,
        "Something damaged the copy again and again, so it is left alone.",
        "Find the program that does it; delete the copy and change the event's time to have it back.",
    ),
    Reason(
        "rewritten_by_provider",
        17,
        "The server, or a program, keeps changing the copy, so it is left as it is now.",
        "Nothing, if it shows the right time.",
    ),
    Reason(
        "not_removed",
        20,
        "A pair is being deleted, and this copy could not be removed yet.",
        "Nothing: it is tried again.",
    ),
    Reason("defect", 22, "Our fault.", "Please report it; the server's log has the same `sync_id`."),
)
"""Its copy cannot be written."""

NOT_UNDONE = (
    Reason(
        "contents_not_held",
        21,
        "The run changed a copy or an event. What it showed before is nowhere kept: we hold no contents.",
        "The calendar's own history or trash may have it.",
    ),
    Reason(
        "source_gone",
        21,
        "The event that the deleted copy stood for is gone itself.",
        "Restore the event in its own calendar.",
    ),
    Reason("copy_not_needed", 21, "What was deleted was a copy too many.", "Nothing."),
    Reason(
        "copy_not_ours",
        21,
        "Where the copy stood is something now that is not known to be ours.",
        "Look at it, and delete it yourself if you do not want it.",
    ),
    Reason(
        "form_not_possible",
        21,
        "The event cannot be read any more, or not be copied in the form that it had.",
        "Resume the pair: it is copied in the form that it has now.",
    ),
)
"""A run that did it cannot be taken back."""

IN_STEP = (
    Reason(
        "in_step",
        15,
        "The copy is there, and as it should be.",
        "Nothing is wrong. Change the event, and the copy follows.",
    ),
    Reason(
        "new", 6, "The event is to be copied, and has no copy yet.", "Nothing: it is written by the next run."
    ),
    Reason(
        "unanswered_write",
        3,
        "A copy was sent to the server, and what came of it is not known.",
        "Nothing: the next run looks, and puts it right.",
    ),
    Reason(
        "adopted",
        4,
        "A copy stands there already that carries our mark.",
        "Nothing: the pair takes it over instead of writing a second one.",
    ),
    Reason(
        "source_changed",
        16,
        "The event changed since its copy was written.",
        "Nothing: the copy is changed by the next run.",
    ),
    Reason(
        "rules_changed",
        18,
        "The pair's options changed since the copy was written.",
        "Nothing: the copy is brought in line by the next run.",
    ),
    Reason(
        "copy_edited",
        17,
        "Somebody changed the copy, and the pair's option `on_copy_edited` says that it is put right.",
        "Change the event itself, or set `on_copy_edited` to `keep`.",
    ),
    Reason(
        "source_moved",
        17,
        "Somebody deleted the copy, and the event has another time since: it is copied again.",
        "Delete the copy once more, if you do not want it at the new time either.",
    ),
    Reason(
        "wanted_again",
        17,
        "The copy was taken away with the form that it had, and is asked for again.",
        "Nothing: it is written by the next run.",
    ),
    Reason(
        "source_deleted",
        16,
        "The event is not in its calendar any more, and so its copy goes.",
        "Restore the event in its own calendar: it is copied again.",
    ),
    Reason(
        "direction_changed",
        18,
        "The pair does not copy in this direction any more, and so the copy goes.",
        "Set the pair's `direction` to `bidirectional`.",
    ),
    Reason(
        "form_changed",
        12,
        "The series is copied in another form now, and other copies show what this one did.",
        "Nothing: every instance stays shown.",
    ),
    Reason(
        "form_incomplete",
        12,
        "The series gets another form, and its copies in the new one do not stand yet. The old ones stay "
        "until then.",
        "See why the other copies of this event cannot be written.",
    ),
    Reason(
        "not_wanted",
        16,
        "Nothing asks for this copy any more.",
        "Nothing: the event has another copy, or none is asked for by the pair's options.",
    ),
    Reason(
        "twin",
        3,
        "There are two copies of one event; the one with the lowest id stays.",
        "Nothing: the other one goes with the next run.",
    ),
    Reason(
        "history",
        7,
        "The copy lies behind the span that is kept in step, and is left as history.",
        "Set the pair's `past_days`, or delete the copy if you do not want it.",
    ),
    Reason(
        "source_unreadable",
        22,
        "The event cannot be read any more, so its copy is left as it was.",
        "See the event's own reason, and save the event again.",
    ),
    Reason(
        "undone",
        21,
        "The run that wrote or deleted this copy was taken back.",
        "Set the pair's status to `active`: the next run brings the copies in line.",
    ),
    Reason(
        "pair_deleted",
        20,
        "The pair was deleted, and its copies with it.",
        "Pair the calendars again: the events are copied again.",
    ),
)
"""What is done about a copy, and why."""

EDITED = (
    Reason(
        "both_changed",
        17,
        "Somebody changed the copy, and the event was changed too: the event wins.",
        "Make the change again, in the copy or in the event.",
    ),
    Reason(
        "source_read_only",
        17,
        "Somebody changed the copy, and the event's calendar cannot be written to, so the copy is put right.",
        "Change the event itself, where it is kept.",
    ),
    Reason(
        "source_is_copy",
        17,
        "Somebody changed the copy, and what it stands for is a copy itself, so it is put right.",
        "Change the event that both stand for.",
    ),
    Reason(
        "source_has_attendees",
        17,
        "Somebody changed the copy of a meeting with attendees, who might get mail, so it is put right.",
        "Change the meeting itself.",
    ),
    Reason(
        "not_organizer",
        17,
        "Somebody changed the copy of an event that the calendar's owner does not organize, or that nobody is "
        "known to organize, so it is put right.",
        "Ask the organizer to change the event.",
    ),
    Reason(
        "fields_unknown",
        17,
        "Somebody changed the copy, and what it held before is not known well enough, so it is put right.",
        "Make the change once more: from now on it is known.",
    ),
    Reason(
        "recurrence_edited",
        17,
        "Somebody changed how or on which days the copied series repeats, so it is put right.",
        "Change the event itself.",
    ),
    Reason(
        "series_with_exceptions",
        17,
        "Somebody moved a copied series of which single instances differ or are missing, so it is put right.",
        "Move the event itself.",
    ),
    Reason(
        "shown_as_block",
        17,
        "Somebody changed the copy of a private event, which shows only when it is, so it is put right.",
        "Change the event itself.",
    ),
    Reason(
        "title_not_undone",
        17,
        "Somebody changed the copy's title, and it does not fit the pair's `title` any more, so that it is not "
        "known what the event's title should be.",
        "Keep what the pair's `title` puts around it, or change the event itself.",
    ),
    Reason(
        "edit_not_carried",
        17,
        "Somebody changed the copy in a way that the event cannot follow, so it is put right.",
        "Change the event itself.",
    ),
    Reason(
        "edit_refused",
        17,
        "Somebody changed the copy, and the event's calendar does not take that change, so it is put right.",
        "Change the event itself, and see what its calendar says.",
    ),
)
"""An edit of a copy does not travel into its event, though `on_copy_edited` is `propagate`."""

NOBODYS = (
    Reason(
        "copy_is_no_source",
        2,
        "It is a copy. Copies are not copied on.",
        "Change the event that it stands for, or pair that event's own calendar with this one.",
    ),
    Reason(
        "another_pairs_copy",
        2,
        "It is a copy that another pair keeps here. Copies are not copied on.",
        "Pair the calendar that the event is in with this one.",
    ),
    Reason(
        "copy_without_pair",
        4,
        "It is a copy that this installation wrote, and no pair keeps it any more.",
        "Pair the calendars again that it was written for, and it is taken over; or delete it.",
    ),
    Reason(
        "foreign_copy",
        1,
        "It is a copy that another installation wrote, or this one with a key that it has lost. It is neither "
        "copied on nor changed.",
        "Pair the calendar that the event is in with this one.",
    ),
    Reason(
        "direction_one_way",
        18,
        "The pair copies in the other direction alone.",
        "Set the pair's `direction` to `bidirectional`.",
    ),
    Reason(
        "no_such_instance",
        13,
        "The series has no instance with this original start: it was taken out of the series, or never was in it.",
        "Restore the instance in its own calendar: it is copied again.",
    ),
    Reason(
        "not_in_index",
        26,
        "Neither calendar held an event of this id when it was last read.",
        "Look for the id in the calendar itself. If the event is there, trigger the pair with `full`.",
    ),
    Reason(
        "never_read",
        27,
        "A calendar of this pair has not been read yet, so nobody knows whether the event is in it.",
        "Wait for the pair's first run, or trigger it.",
    ),
)
"""What stands in a calendar, and is nobody's source."""

PAIR = (
    Reason(
        "pair_paused",
        19,
        "The pair is paused: nothing is read or written for it.",
        "Set its status to `active`; one run brings in all that happened.",
    ),
    Reason(
        "being_removed",
        20,
        "The pair is being deleted, and its copies with it.",
        "Pair the calendars again when it is gone.",
    ),
    Reason(
        "never_synced",
        27,
        "The pair has not been synced yet.",
        "Wait for its first run, or trigger it.",
    ),
    Reason(
        "copies_of_lost_key",
        4,
        "Copies stand in the calendar that this installation cannot verify, and the pair waits for a "
        "person's word.",
        "Trigger the pair with `confirm` to take over those that stand at the expected times.",
    ),
    Reason(
        "copies_vanished",
        17,
        "Many copies have vanished at once, and the pair waits for a person's word.",
        "Look at the calendar; then trigger the pair with `confirm` if they were deleted on purpose.",
    ),
    Reason(
        "source_emptied",
        21,
        "The source calendar read empty, and the pair waits for a person's word before copies are deleted.",
        "Look at the calendar; then trigger the pair with `confirm` if it is empty indeed.",
    ),
    Reason(
        "copies_edited",
        17,
        "Many copies were edited at once, and the pair waits for a person's word before their events are changed.",
        "Look at the copies; then trigger the pair with `confirm`, or set `on_copy_edited` to `restore`.",
    ),
    Reason(
        "server_error",
        22,
        "The last run failed by our fault.",
        "Please report it; the server's log has the run's `sync_id`.",
    ),
)
"""Why a pair does not run."""

CONNECTION = (
    Reason(
        "not_authorized",
        25,
        "The calendar's server does not accept the credentials, or access was withdrawn.",
        "Give the connection new credentials, or have access granted again.",
    ),
    Reason(
        "missing_scope",
        25,
        "What was granted does not hold every permission that is needed.",
        "Have access granted again, with all permissions.",
    ),
    Reason(
        "app_forbidden",
        25,
        "The organisation does not let its people use this installation.",
        "Have its administrator allow it, and access granted again.",
    ),
    Reason(
        "delegation_ended",
        25,
        "The delegation that the calendar was reached through was ended.",
        "Connect it through another delegation, or have the person grant access.",
    ),
    Reason(
        "provider_forbidden",
        25,
        "The server knows the account and does not allow this: the calendar may have become read-only.",
        "Have the calendar shared for writing, or let the pair copy in the other direction alone.",
    ),
    Reason(
        "calendar_not_found",
        25,
        "The calendar is not there any more.",
        "Restore or share it again, or connect another one.",
    ),
    Reason(
        "no_mailbox",
        25,
        "The account has no mailbox.",
        "Give it a licence for one, or connect another account.",
    ),
    Reason(
        "not_a_calendar_server",
        25,
        "What answers at the address is no calendar server.",
        "Correct the connection's address.",
    ),
    Reason(
        "unreachable",
        25,
        "The address is not one that this server connects to, or it does not prove who it is.",
        "Correct the address or its certificate, or set `CALENDARSYNC_ALLOWED_PRIVATE_NETWORKS`.",
    ),
    Reason(
        "provider_rate_limited",
        24,
        "The calendar's server asked to slow down, and is not asked again before the time it named.",
        "Nothing: it goes on by itself.",
    ),
    Reason("provider_error", 22, "The calendar's server failed.", "See the server's log if it stays."),
    Reason(
        "id_dead",
        3,
        "An id that the copy would have had was used up by an event that was deleted.",
        "Nothing: it gets another one.",
    ),
)
"""Why a calendar is not reached."""

SKIPPED = (UNREADABLE, BY_RULE, NOT_WRITTEN, NOT_UNDONE)
TOLD = (IN_STEP, EDITED, NOBODYS, PAIR, CONNECTION)
REASONS: Mapping[str, Reason] = {reason.code: reason for section in (*SKIPPED, *TOLD) for reason in section}
