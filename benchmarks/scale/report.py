"""What was measured as tables: on the screen, and between the marks in docs/reference/performance.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.report import PAGE
from benchmarks.scale.paces import polls_a_day, polls_a_day_at_most

_MEASURED = re.compile(r"(?<=<!-- measured at scale -->\n).*?(?=<!-- end of scale -->)", re.DOTALL)
_QUEUE = "pgqueuer"
_LOGS = ("runs", "operations")
LATENCY_GOAL = 1.0
SLOWER_GOAL = 0.2

Result = Mapping[str, Any]
"""What one run of the benchmark has found, as it stands in its file of JSON."""


@dataclass(frozen=True, slots=True)
class Part:
    """A table with its heading, or with `rows` empty a line of text."""

    heading: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def save(path: Path, result: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, default=asdict) + "\n")


def load(path: Path) -> Result:
    found: Result = json.loads(path.read_text())
    return found


def parts(results: Sequence[Result]) -> Iterator[Part]:
    """All that is told of the results, the smallest installation first."""
    ordered = sorted(results, key=lambda result: int(result["pairs"]))
    measured = [(result, each) for result in ordered for each in result["measurements"]]
    if measured:
        yield _speed(measured)
        yield _writes(measured)
        yield _installations(ordered)
    yield from (_soak(result) for result in ordered if result["soak"])
    yield from _verdicts(ordered)
    for result in ordered:
        yield Part(f"{result['pairs']:,} pairs: {result['machine']} {result['server']}")


def _speed(measured: Sequence[tuple[Result, Any]]) -> Part:
    columns = (
        "pairs",
        "workers",
        "runs a second",
        "bare loops",
        "trigger p50",
        "p99",
        "CPU of a run: workers, database",
        "memory of a worker, start and end",
        "first claim after",
    )
    rows = [
        (
            f"{result['pairs']:,}",
            str(each["workers"]),
            f"{each['rate']:,.0f}",
            f"{each['bare_rate']:,.0f}",
            _ms(each["p50"]),
            _ms(each["p99"]),
            f"{each['cpu_workers']:.2f} ms, {each['cpu_database']:.2f} ms",
            f"{max(each['megabytes_start']):.0f}, {max(each['megabytes_end']):.0f} MB",
            f"{each['first_claim_seconds']:.1f} s",
        )
        for result, each in measured
    ]
    return Part("Full load", columns, rows)


def _writes(measured: Sequence[tuple[Result, Any]]) -> Part:
    columns = (
        "pairs",
        "workers",
        "runs",
        "of them changed, throttled, expired, triggered",
        "rows a run",
        "updates in place",
        "WAL of a run, with whole pages",
        "logs a run",
    )
    rows = []
    for result, each in measured:
        runs, costs = each["runs"], each["costs"]
        shares = (runs[kind] / runs["total"] for kind in ("changed", "throttled", "expired", "triggered"))
        rows.append(
            (
                f"{result['pairs']:,}",
                str(each["workers"]),
                f"{runs['total']:,}",
                ", ".join(f"{share:.1%}" for share in shares),
                f"{_rows(costs):.2f}",
                f"{costs['updates_in_place']:.0%}",
                f"{each['wal_records']:,.0f}, {costs['wal_bytes']:,.0f} bytes",
                f"{_log_bytes(costs):,.0f} bytes",
            )
        )
    return Part("What a run writes", columns, rows)


def _installations(results: Sequence[Result]) -> Part:
    columns = (
        "pairs",
        "tables and indexes of a pair",
        "schema made in",
        "migrated in",
        "a day at 300 s: runs, rows, WAL, logs",
        "a day at the paces of the mix",
    )
    rows = []
    for result in results:
        if not result["measurements"]:
            continue
        filled, pairs = result["filled"], int(result["pairs"])
        rows.append(
            (
                f"{pairs:,}",
                f"{sum(filled['bytes_a_pair'].values()):,.0f} bytes",
                f"{filled['migrate_empty_seconds']:.1f} s",
                f"{filled['migrate_seconds']:.1f} s",
                _day(pairs * polls_a_day_at_most(), result["measurements"][-1]),
                _day(pairs * polls_a_day(), result["measurements"][-1]),
            )
        )
    return Part("The installation", columns, rows)


def _day(runs: float, measured: Any) -> str:
    costs = measured["costs"]
    return (
        f"{runs / 1e6:,.1f} million, {runs * _rows(costs) / 1e6:,.0f} million, "
        f"{runs * measured['wal_records'] / 1e9:,.1f} GB, {runs * _log_bytes(costs) / 1e9:,.1f} GB"
    )


def _soak(result: Result) -> Part:
    soak = result["soak"]
    samples = soak["samples"]
    rows = [
        (
            f"{sample['minute']:.0f}",
            f"{sample['rate']:,.0f}",
            _ms(sample["p50"]),
            _ms(sample["p99"]),
            ", ".join(f"{name} {size:.0f}" for name, size in sample["megabytes"].items()),
            ", ".join(
                f"{name} {_total(sample, name) / 1e6:,.0f}" for name in (*_LOGS, "pairs", "connections")
            ),
            f"{sample['tables']['pairs']['dead']:,}",
        )
        for number, sample in enumerate(samples, 1)
        if number == 1 or number == len(samples) or number % max(len(samples) // 6, 1) == 0
    ]
    columns = (
        "minute",
        "runs a second",
        "trigger p50",
        "p99",
        "memory, MB",
        "tables and indexes, MB",
        "dead rows of pairs",
    )
    return Part(
        f"{soak['minutes']:.0f} minutes at full load, {result['pairs']:,} pairs, 2 workers", columns, rows
    )


def _total(sample: Any, table: str) -> int:
    found = sample["tables"][table]
    return int(found["table_bytes"] + found["index_bytes"])


def _verdicts(results: Sequence[Result]) -> Iterator[Part]:
    latencies = [each["p99"] for result in results for each in result["measurements"]]
    if latencies:
        worst = max(latencies)
        yield Part(
            f"Goal: p99 of a trigger under full load is below {LATENCY_GOAL:.0f} s. "
            f"{_yes(worst < LATENCY_GOAL)}: {_ms(worst)} at most."
        )
    if len(results) > 1 and results[0]["measurements"] and results[-1]["measurements"]:
        rates = [{each["workers"]: each["rate"] for each in result["measurements"]} for result in results]
        slower = {count: 1 - rates[-1][count] / rates[0][count] for count in rates[0] if count in rates[-1]}
        if slower:
            told = ", ".join(f"{share:.0%} with {count}" for count, share in slower.items())
            yield Part(
                f"Goal: from {results[0]['pairs']:,} to {results[-1]['pairs']:,} pairs runs a second fall by less "
                f"than {SLOWER_GOAL:.0%}. {_yes(max(slower.values()) < SLOWER_GOAL)}: {told}."
            )
    for result in results:
        if soak := result["soak"]:
            slopes = ", ".join(f"{name} {slope:+.1f}" for name, slope in soak["megabytes_an_hour"].items())
            yield Part(
                f"Goal: memory is flat over the soak's last two thirds. {_yes(soak['flat'])}: MB an hour: {slopes}."
            )
            grown = ", ".join(_grown(name, table) for name, table in sorted(soak["growth"].items()))
            yield Part(f"Tables over the soak's last two thirds, in MB: {grown}.")


def _grown(name: str, table: Any) -> str:
    expected = table["expected"]
    told = f"{name} {table['bytes'] / 1e6:+,.1f}"
    if expected is not None:
        told += f" ({expected / 1e6:+,.1f} by the arithmetic of its {table['rows']:,} rows)"
    return told


def _rows(costs: Any) -> float:
    return float(sum(rows for table, rows in costs["rows"].items() if not table.startswith(_QUEUE)))


def _log_bytes(costs: Any) -> float:
    return float(sum(costs["table_bytes"].get(table, 0.0) for table in _LOGS))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def _yes(met: bool) -> str:
    return "Met" if met else "Not met"


def show(console: Console, results: Sequence[Result]) -> None:
    for part in parts(results):
        if not part.rows:
            console.print(part.heading)
            continue
        table = Table(*part.columns, box=box.SIMPLE_HEAD, title=part.heading, title_justify="left")
        for row in part.rows:
            table.add_row(*row)
        console.print(table)


def write(results: Sequence[Result]) -> None:
    """Put them into their place in the page."""
    told = []
    for part in parts(results):
        told.append(f"{part.heading}{':' if part.rows else ''}\n\n")
        if part.rows:
            lines = [part.columns, ("---",) * len(part.columns), *part.rows]
            told.append("".join(f"| {' | '.join(cells)} |\n" for cells in lines) + "\n")
    text, found = _MEASURED.subn(lambda _: "\n" + "".join(told), PAGE.read_text())
    assert found == 1, f"{PAGE.name} has no place for it"
    PAGE.write_text(text)
