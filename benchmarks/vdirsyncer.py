"""vdirsyncer, which does the same job from the command line, in a virtual environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import perf_counter

from benchmarks.bare import Place

# echo vdirsyncer | uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -
_LOCK = Path(__file__).parent / "vdirsyncer.lock"

_CONFIG = """
[general]
status_path = "{folder}/status/"

[pair bench]
a = "a"
b = "b"
collections = [["events", "{a_name}", "{b_name}"]]

[storage a]
type = "caldav"
url = "{a_home}"
username = "{a_user}"
password = "{a_password}"

[storage b]
type = "caldav"
url = "{b_home}"
username = "{b_user}"
password = "{b_password}"
"""


@dataclass(frozen=True)
class Vdirsyncer:
    program: Path

    @property
    def version(self) -> str:
        return self._run("--version").strip().rpartition(" ")[2]

    def pair(self, folder: Path, a: Place, b: Place) -> Path:
        """Its configuration in `folder`, for a pair of calendars that it has found."""
        folder.mkdir()
        values: dict[str, str] = {}
        for side, place in (("a", a), ("b", b)):
            home, _, name = place.calendar.rstrip("/").rpartition("/")
            person = place.server
            values |= {f"{side}_home": f"{home}/", f"{side}_name": name}
            values |= {f"{side}_user": person.username, f"{side}_password": person.password}
        config = folder / "config"
        config.write_text(_CONFIG.format(folder=folder, **values))
        self._run("-c", str(config), "discover", "bench")
        return config

    def sync(self, config: Path) -> float:
        """Seconds of one run, the start of its process included."""
        started = perf_counter()
        self._run("-v", "ERROR", "-c", str(config), "sync", "bench")
        return perf_counter() - started

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.program, *arguments], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def installed() -> Vdirsyncer:
    """vdirsyncer as it is locked here, installed into the user's cache the first time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "calendarsync-bench" / f"vdirsyncer-{sha256(_LOCK.read_bytes()).hexdigest()[:12]}"
    program = folder / "bin" / "vdirsyncer"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = ["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(_LOCK)]
        subprocess.run([str(folder / "bin" / "python"), "-m", "pip", *install], check=True)
    return Vdirsyncer(program)
