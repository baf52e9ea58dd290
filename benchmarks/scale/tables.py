"""The tables of docs/guide/scale.md, and the screen's: rows of Markdown, made of `scale` and `ends` alone."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace

from benchmarks.scale.arithmetic import DAY, Limits, Load, Scale, ends, scale
from benchmarks.scale.costs import MEASURED, UnitCosts

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
EXAMPLE = ("--pairs", "250000", "--push", "0.9", "--google", "0.6", "--log-days", "30")
COMMAND = "python -m benchmarks.scale.arithmetic"
SHARES = (0.0, 0.5, 0.8, 1.0)
PACES = (0.0, 0.1, 1.0, 2.0, 5.0, 20.0)

Line = tuple[str, Callable[[Scale], str]]


def number(value: float) -> str:
    """Three digits that count, at most, and commas."""
    if math.isinf(value):
        return "∞"
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, digits)
    return f"{rounded:,.{max(digits, 0)}f}".rstrip("0").rstrip(".") if digits > 0 else f"{rounded:,.0f}"


def size(value: float) -> str:
    """Bytes."""
    for unit, much in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if value >= much:
            return f"{number(value / much)} {unit}"
    return f"{number(value)} B"


def cores(value: float) -> str:
    return number(value) if value >= 0.1 else "below 0.1"


def percent(share: float) -> str:
    return f"{number(share * 100)}%" if share >= 0.001 else "below 0.1%"


def span(seconds: float) -> str:
    if math.isinf(seconds):
        return "never"
    for unit, much in (("days", DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= much * (2 if unit != "min" else 1):
            return f"{number(seconds / much)} {unit}"
    return f"{number(seconds)} s"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def by_size(lines: Sequence[Line], load: Load, costs: UnitCosts, sizes: Sequence[int] = SIZES) -> list[str]:
    made = [scale(replace(load, pairs=pairs), costs) for pairs in sizes]
    head = ["pairs", *(f"{pairs:,}" for pairs in sizes)]
    return table(head, [[name, *(cell(each) for each in made)] for name, cell in lines])


def at_a_glance(limits: Limits) -> list[Line]:
    return [
        ("runs a second", lambda at: number(at.runs)),
        ("quota to have at Google, requests a minute", lambda at: number(at.google_quota(limits))),
        ("database", lambda at: size(at.total_bytes)),
        ("workers", lambda at: number(at.workers(limits))),
        ("API processes", lambda at: number(at.api_processes(limits))),
        ("cores of PostgreSQL", lambda at: cores(at.database_cores / limits.busy)),
    ]


def providers(limits: Limits) -> list[Line]:
    return [
        ("requests to Google a minute: polls", lambda at: number(at.google_polls_minute)),
        ("… notices, changes and channels, on the average", lambda at: number(at.google_others_minute)),
        ("… all, in the busiest hour", lambda at: number(at.google_peak_minute)),
        ("quota to have, requests a minute", lambda at: number(at.google_quota(limits))),
        (
            f"with {limits.google_minute:,.0f}, a pair under push is polled each",
            lambda at: span(at.watched_seconds * at.stretched(limits)),
        ),
        (
            f"with {limits.google_minute:,.0f}, the first syncs of all pairs take",
            lambda at: span(at.first_syncs_days(limits) * DAY),
        ),
        ("requests to Google a day", lambda at: number(at.google_day)),
        (
            "… so many times what Google gives without charge",
            lambda at: number(at.google_day / limits.google_day),
        ),
        ("requests to Graph in 10 s", lambda at: number(at.microsoft_10_seconds)),
        (
            "… of what an app may make",
            lambda at: percent(at.microsoft_10_seconds / limits.microsoft_10_seconds),
        ),
    ]


def pushed() -> list[Line]:
    return [
        ("channels", lambda at: number(at.channels)),
        ("channels renewed a second", lambda at: number(at.renewals)),
        ("notices a second, on the average", lambda at: number(at.notices)),
        ("… in the busiest hour", lambda at: number(at.notices * at.load.peak)),
        ("access tokens renewed a second", lambda at: number(at.tokens)),
    ]


def at_rest() -> list[Line]:
    names = list(MEASURED.row_bytes)
    largest = sorted(names, key=lambda name: -scale(Load(1_000_000), MEASURED).bytes[name])
    return [
        *((f"`{name}`", lambda at, name=name: size(at.bytes[name])) for name in largest),
        ("all", lambda at: size(at.total_bytes)),
    ]


def written() -> list[Line]:
    return [
        ("rows written a second, deleted ones included", lambda at: number(at.rows_written)),
        ("WAL a second, at least", lambda at: size(at.wal_low)),
        ("… at most", lambda at: size(at.wal_high)),
        ("WAL a day, at least", lambda at: size(at.wal_low * DAY)),
        ("… at most", lambda at: size(at.wal_high * DAY)),
        ("read a second, to plan", lambda at: size(at.read_to_plan)),
        ("logs written, and deleted, a day", lambda at: number(at.runs * DAY)),
    ]


def processes(limits: Limits, costs: UnitCosts) -> list[Line]:
    return [
        ("runs a second", lambda at: number(at.runs)),
        ("… of these plan", lambda at: number(at.planned_runs)),
        ("cores' time of the workers", lambda at: cores(at.worker_cores)),
        ("workers", lambda at: number(at.workers(limits))),
        ("API processes", lambda at: number(at.api_processes(limits))),
        (
            "memory of all, without large calendars",
            lambda at: size(
                (at.workers(limits) * costs.worker_mb + at.api_processes(limits) * costs.api_mb) * 1e6
            ),
        ),
        ("connections to PostgreSQL", lambda at: number(at.connections(limits))),
        ("cores' time of PostgreSQL", lambda at: cores(at.database_cores)),
        ("the claims' lock is held", lambda at: percent(at.claims_busy)),
    ]


def by_push(load: Load, costs: UnitCosts, limits: Limits) -> list[str]:
    made = [scale(replace(load, push=share), costs) for share in SHARES]
    lines: list[Line] = [
        ("a pair is polled each", lambda at: span(at.load.pairs / at.polls)),
        ("runs a second", lambda at: number(at.runs)),
        ("requests to Google a minute, in the busiest hour", lambda at: number(at.google_peak_minute)),
        ("requests to Google a day", lambda at: number(at.google_day)),
        ("workers", lambda at: number(at.workers(limits))),
        ("WAL a day, at most", lambda at: size(at.wal_high * DAY)),
    ]
    head = ["share of pairs under push", *(f"{share:.0%}" for share in SHARES)]
    return table(head, [[name, *(cell(each) for each in made)] for name, cell in lines])


def paces(load: Load, costs: UnitCosts) -> list[str]:
    made = [scale(replace(load, changes=changes, still=0.0), costs) for changes in PACES]
    head = ["changes a day", *(number(changes) for changes in PACES)]
    rows = [
        ["without push, polled each", *(span(at.unwatched_seconds) for at in made)],
        ["under push, polled each", *(span(at.watched_seconds) for at in made)],
    ]
    return table(head, rows)


def first_ends(load: Load, costs: UnitCosts, limits: Limits) -> list[str]:
    return table(
        ["what ends", "at so many pairs"],
        [[name, number(pairs)] for name, pairs in ends(load, costs, limits).items()],
    )


def assumed(*what: Load | Limits) -> list[str]:
    rows = []
    for each in what:
        for field in fields(each):
            if field.metadata:
                option = f"`--{field.name.replace('_', '-')}`"
                value = getattr(each, field.name)
                told = size(value) if "bytes" in field.metadata["meaning"] and value >= 1e6 else number(value)
                rows.append([field.metadata["meaning"], told, option])
    return table(["", "assumed", "to be replaced with"], rows)


def unit_costs(costs: UnitCosts) -> list[str]:
    rows = [
        [f"a row of `{name}` with its indexes", f"{number(value)} bytes"]
        for name, value in costs.row_bytes.items()
    ]
    for field in fields(costs):
        if "meaning" in field.metadata:
            source = f" ({field.metadata['source']})" if field.metadata["source"] else ""
            value = number(getattr(costs, field.name))
            rows.append([field.metadata["meaning"] + source, f"{value} {field.metadata['unit']}"])
    return table(["", "costs"], rows)


def one(load: Load, costs: UnitCosts, limits: Limits) -> list[str]:
    """All of one installation, for the screen."""
    sections: list[tuple[str, Sequence[Line]]] = [
        ("Providers", providers(limits)),
        ("Push", pushed()),
        ("Database at rest", at_rest()),
        ("Database, written", written()),
        ("Processes", processes(limits, costs)),
    ]
    at, told = scale(load, costs), [f"{load.pairs:,} pairs"]
    for name, lines in sections:
        told += ["", name, *(f"  {label:<58}{cell(at):>12}" for label, cell in lines)]
    told += ["", "What ends, and at how many pairs"]
    return told + [f"  {name:<58}{number(pairs):>12}" for name, pairs in ends(load, costs, limits).items()]


def page_tables(costs: UnitCosts = MEASURED) -> Mapping[str, list[str]]:
    """The tables by their names in the page."""
    load, limits = Load(1_000_000), Limits()
    return {
        "at a glance": by_size(at_a_glance(limits), load, costs),
        "assumed": assumed(load, limits),
        "providers": by_size(providers(limits), load, costs),
        "push": by_size(pushed(), load, costs),
        "pace": paces(load, costs),
        "shares of push": by_push(load, costs, limits),
        "at rest": by_size(at_rest(), load, costs),
        "written": by_size(written(), load, costs),
        "processes": by_size(processes(limits, costs), load, costs),
        "ends": first_ends(load, costs, limits),
        "unit costs": unit_costs(costs),
        "machine": [costs.machine],
        "example": [
            "```sh",
            f"{COMMAND} {' '.join(EXAMPLE)}",
            "```",
            "",
            "```",
            *computed(EXAMPLE, costs),
            "```",
        ],
    }


def computed(given: Sequence[str] | None, costs: UnitCosts = MEASURED) -> list[str]:
    """What the command prints for these arguments."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="What an installation of so many pairs costs.")
    parser.add_argument("--pairs", type=int, required=True)
    kinds = (Load, Limits)
    for kind in kinds:
        for field in fields(kind):
            if field.metadata:
                option = f"--{field.name.replace('_', '-')}"
                told = f"{field.metadata['meaning']} (%(default)s)".replace("% ", "%% ")
                parser.add_argument(option, type=float, default=field.default, help=told)
    values = vars(parser.parse_args(given))
    load, limits = (kind(**{field.name: values[field.name] for field in fields(kind)}) for kind in kinds)
    assert isinstance(load, Load)
    assert isinstance(limits, Limits)
    return one(load, costs, limits)


def main() -> None:
    print("\n".join(computed(None)))
