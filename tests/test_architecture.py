"""What holds the parts apart: the direction of imports, purity, sizes, and what may not stand in the tree.

Each check is a function of a file's text, so that the tests at the end can prove that it bites.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "calendarsync"

# Upper rows may import lower rows, never the other way round, and not sideways.
ROWS: tuple[frozenset[str], ...] = (
    frozenset({"__main__"}),
    frozenset({"api", "web", "cli", "jobs", "demo", "client"}),
    frozenset({"sync", "webhooks", "accounts", "grants"}),
    frozenset({"providers", "store", "net"}),
    frozenset({"settings", "secrets", "observability", "metrics"}),
    frozenset({"domain"}),
)

SIDEWAYS = {
    ("providers", "net"): "providers speak HTTP through the one guarded client",
    ("providers", "store"): "the sandbox's calendars live in our own database, theirs nowhere else",
    ("sync", "webhooks"): "the end of a run is told in the form that webhooks give it",
    ("cli", "api"): "`serve` starts the API",
    ("cli", "jobs"): "`serve` starts the schedule in the same process",
    ("cli", "demo"): "the demo is a command",
    ("cli", "client"): "`onboard` goes through the public API",
    ("demo", "client"): "what the demo does goes through the public API",
    ("api", "jobs"): "a trigger hands its run to the schedule that runs in the same process",
    ("web", "api"): "the dashboard shares the services of the API",
}

# Standard library modules that neither reach outside the process nor read a clock. zoneinfo reads the zone
# tables, which are data of the language; hashing is a pure function.
PURE_STDLIB = {
    *("__future__", "abc", "base64", "binascii", "bisect", "calendar", "codecs", "collections", "contextlib"),
    *("copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq"),
    *("hmac", "html", "itertools", "json", "math", "operator", "re", "string", "struct", "textwrap", "types"),
    *("typing", "unicodedata", "urllib.parse", "zlib", "zoneinfo"),
}
CLOCKS_AND_DICE = frozenset({"now", "utcnow", "today", "time", "monotonic", "perf_counter", "uuid1", "uuid4"})
PURE_IN_SYNC = (
    *("actions", "board", "drift", "edits", "eligible", "explain", "explain_instances", "fields", "former"),
    *("guards", "latency", "meetings", "pace", "plan", "propagation", "reasons", "relay", "render"),
    *("respect", "shape", "turns", "undo", "unjudged", "wanted", "withdrawal"),
)
IMPURE = ("os", "socket", "time", "random", "logging", "asyncio", "pathlib", "sqlite3", "aiohttp")
LONGEST = 500
LONG_WITH_REASON = {"tests/domain/test_recurrence.py": "the cases of one function, read as one table"}
MAY_PRINT = ("cli", "demo")

REGISTRY_HOSTS = re.compile(
    r"files\.pythonhosted\.org|pypi\.org/simple|registry\.npmjs\.org|registry-1\.docker\.io"
    r"|(?:deb|security)\.debian\.org|proxy\.golang\.org|index\.crates\.io"
)
MACHINE_PATHS = re.compile(
    r"(?<![\w.])/(?:work|farm)/(?:main|steering|shared|in|\.library|\.mirror)\b|(?<![\w.])/root/\w"
)


def row_of(module: str) -> int | None:
    """The row of a dotted module; None for the package itself and for strangers."""
    parts = module.split(".")
    if parts[0] != PACKAGE or len(parts) == 1:
        return None
    rows = [number for number, row in enumerate(ROWS) if parts[1] in row]
    assert rows, f"{module}: give {parts[1]!r} its row in {Path(__file__).name}"
    return rows[0]


def imports_of(source: str, module: str, *, is_package: bool = False) -> Iterator[str]:
    """Every module that `source` imports, anywhere in it, by its full dotted name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[
                    : None if is_package and node.level == 1 else -node.level + is_package
                ]
                base = ".".join([*parents, base] if base else parents)
            # `from calendarsync import sync` names a module by its last word.
            inside = base == PACKAGE
            yield from (f"{base}.{alias.name}" for alias in node.names) if inside else (base,)


def wrong_direction(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """Imports of `module` that go up, or sideways without a reason."""
    here, found = row_of(module), []
    for target in imports_of(source, module, is_package=is_package):
        if target == f"{PACKAGE}.__version__":
            continue
        there = row_of(target)
        if here is None or there is None:
            continue
        pair = module.split(".")[1], target.split(".")[1]
        if there < here or (there == here and pair[0] != pair[1] and pair not in SIDEWAYS):
            found.append(f"{module} imports {target}")
    return found


def is_pure(module: str) -> bool:
    """domain, and the parts of sync that decide."""
    return module.startswith(f"{PACKAGE}.domain") or bool(
        re.fullmatch(rf"{PACKAGE}\.sync\.({'|'.join(PURE_IN_SYNC)})(\..*)?", module)
    )


def impurities(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What a pure module imports or calls that it may not."""
    found = []
    for target in imports_of(source, module, is_package=is_package):
        standard = target in PURE_STDLIB or target.split(".")[0] in PURE_STDLIB
        third = target.split(".")[0] == "dateutil"
        ours = is_pure(target) and (target.startswith(f"{PACKAGE}.domain") or ".sync." in module)
        if not (standard or third or ours):
            found.append(f"{module} imports {target}")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            # `value.time()` takes the time of day out of a datetime; the module's is refused at its import.
            of_a_value = isinstance(node.func, ast.Attribute) and name == "time"
            if name in {"open", "print", "input"} or (name in CLOCKS_AND_DICE and not of_a_value):
                found.append(f"{module}:{node.lineno} calls {name}()")
    return found


def prints(source: str) -> list[int]:
    """Lines that call print()."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def forbidden_words(text: str) -> list[str]:
    """Registry hosts and paths of somebody's machine."""
    return [match.group() for pattern in (REGISTRY_HOSTS, MACHINE_PATHS) for match in pattern.finditer(text)]


def modules() -> Iterator[tuple[str, bool, str]]:
    """Dotted name, whether it is a package, and text, of every module under src."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        is_package = parts[-1] == "__init__"
        yield ".".join(parts[:-1] if is_package else parts), is_package, path.read_text()


def tracked_files() -> list[Path]:
    """What git tracks; in an unpacked archive, all but what make builds."""
    if (ROOT / ".git").exists():
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        )
        names = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        names = [
            path for path in ROOT.rglob("*") if not {".venv", "__pycache__", "node_modules"} & set(path.parts)
        ]
    return [path for path in names if path.is_file()]


def test_imports_point_one_way() -> None:
    assert [
        line for name, package, text in modules() for line in wrong_direction(text, name, is_package=package)
    ] == []


def test_what_decides_is_pure() -> None:
    pure = [(name, package, text) for name, package, text in modules() if is_pure(name)]
    assert len(pure) > 5
    assert [line for name, package, text in pure for line in impurities(text, name, is_package=package)] == []


def test_only_the_command_line_prints() -> None:
    assert [
        f"{name}:{line}"
        for name, _, text in modules()
        if name.split(".")[1:2] and name.split(".")[1] not in MAY_PRINT
        for line in prints(text)
    ] == []


def test_files_stay_short() -> None:
    code = [path for path in tracked_files() if path.suffix == ".py"]
    assert len(code) > 30
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in code}
    assert {
        name: lines for name, lines in lengths.items() if lines > LONGEST and name not in LONG_WITH_REASON
    } == {}


def test_no_tracked_file_names_a_registry_or_a_machine() -> None:
    found = {}
    for path in tracked_files():
        if words := forbidden_words(path.read_text(errors="replace")):
            found[str(path.relative_to(ROOT))] = words[:3]
    assert found == {}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("calendarsync.domain.event", "from calendarsync.store import tables"),
        ("calendarsync.store.runs", "import calendarsync.sync.report"),
        ("calendarsync.store.runs", "from calendarsync import sync"),
        ("calendarsync.store.runs", "from ..sync import report"),
        ("calendarsync.store.runs", "from calendarsync.net import urls"),
        ("calendarsync.net.client", "def late():\n    from calendarsync.providers import base"),
        ("calendarsync.sync.run", "from calendarsync.accounts import keys"),
        ("calendarsync.jobs.runner", "from calendarsync.api import app"),
        ("calendarsync.settings", "from calendarsync.net import addresses"),
    ],
)
def test_an_import_against_the_direction_is_found(module: str, source: str) -> None:
    assert len(wrong_direction(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("calendarsync.api.app", "from calendarsync.sync import run"),
        ("calendarsync.api.app", "from calendarsync import __version__"),
        ("calendarsync.providers.caldav", "from calendarsync.net import urls"),
        ("calendarsync.sync.run", "from . import plan"),
        ("calendarsync.store.runs", "import sqlalchemy"),
    ],
)
def test_an_import_in_the_direction_is_left_alone(module: str, source: str) -> None:
    assert wrong_direction(source, module) == []


def test_a_package_without_a_row_is_named() -> None:
    with pytest.raises(AssertionError, match="give 'helpers' its row"):
        wrong_direction("from calendarsync.helpers import x", "calendarsync.api.app")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        *(
            ("calendarsync.domain.rules", f"import {name}")
            for name in ("os", "socket", "time", "random", "logging")
        ),
        *(
            ("calendarsync.domain.rules", f"import {name}")
            for name in ("asyncio", "pathlib", "sqlite3", "aiohttp")
        ),
        ("calendarsync.domain.rules", "from urllib.request import urlopen"),
        ("calendarsync.domain.rules", "from datetime import datetime\nx = datetime.now()"),
        ("calendarsync.domain.rules", "import datetime\nx = datetime.date.today()"),
        ("calendarsync.domain.rules", "def read(name):\n    return open(name)"),
        ("calendarsync.domain.rules", "from calendarsync.sync.plan import plan"),
        ("calendarsync.domain.rules", "x = uuid4()"),
        ("calendarsync.sync.plan", "from calendarsync.store import tables"),
        ("calendarsync.sync.withdrawal", "import asyncio"),
        ("calendarsync.sync.guards", "from calendarsync.sync.apply import apply"),
    ],
)
def test_an_impurity_is_found(module: str, source: str) -> None:
    assert is_pure(module)
    assert len(impurities(source, module)) == 1


def test_pure_modules_may_use_one_another() -> None:
    source = "import re\nfrom dateutil.rrule import rrule\nfrom calendarsync.domain.event import Component\n"
    assert impurities(source, "calendarsync.domain.rules") == []
    assert impurities("from calendarsync.sync.plan import plan", "calendarsync.sync.guards") == []
    assert not is_pure("calendarsync.sync.run")


def test_a_print_a_registry_and_a_machine_path_are_found() -> None:
    assert prints("def f():\n    print('x')\n") == [2]
    assert prints("def pprint(x): ...\nconsole.print('x')\npprint('x')\n") == []
    host, path = "https://py" + "pi.org/simple", "/wo" + "rk/main/src"
    assert forbidden_words(f"see {host} and {path}") == [host.removeprefix("https://"), "/wo" + "rk/main"]
    assert forbidden_words("https://example.com/work/main.ics and /you/work/") == []
