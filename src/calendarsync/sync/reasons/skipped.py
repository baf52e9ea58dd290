"""Why an event gets no copy, as docs/guide/skipped-events.md tells it."""

from __future__ import annotations

from calendarsync.sync.reasons.reason import Reason

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
        "The copy is written anew when its source changes.",
    ),
    Reason(
        "copy_deleted_by_person",
        17,
        "Somebody deleted its copy. Unless the pair's `on_copy_deleted` is `restore`, it stays away until the "
        "event's time changes.",
        "Change the event's time, or set the pair's `on_copy_deleted` to `restore`.",
    ),
    Reason(
        "instance_deleted_by_person",
        17,
        "Somebody deleted one instance of the copied series; that one stays away until its time changes.",
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
        "Something damaged the copy, so that it cannot be read. It is written anew twice, and then left alone.",
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
