"""What is done about copies, and what is nobody's source, as docs/guide/explain.md tells it."""

from __future__ import annotations

from calendarsync.sync.reasons.reason import Reason

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
        "Somebody changed the copy. The pair's `on_copy_edited` says what becomes of that: it is put right, or "
        "carried into the event.",
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
        "origin_changed",
        2,
        "Another event stands now where the copy's source was, and so the copy goes.",
        "Nothing: the event that stands there now gets a copy of its own.",
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
        "Pair the event's own calendar with the one where it is missed, or set the pair's `relay`.",
    ),
    Reason(
        "another_pairs_copy",
        2,
        "It is a copy that another pair keeps here. Copies are not copied on.",
        "Pair the event's own calendar with the one where it is missed, or set the pair's `relay`.",
    ),
    Reason(
        "origin_is_here",
        2,
        "It is a copy of an event that stands in the other calendar itself.",
        "Nothing: the event is there.",
    ),
    Reason(
        "relayed_in_circle",
        2,
        "It is a copy that came back to its own calendar: nothing but copies stands behind it.",
        "Nothing: it goes when the pairs behind it have been synced.",
    ),
    Reason(
        "origin_not_known",
        2,
        "It is a copy whose event is not found at present. What was copied of it stays as it is meanwhile.",
        "Sync the pairs behind it; then it is copied on, or goes.",
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
