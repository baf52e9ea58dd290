"""A real `calendarsync serve`, driven through its API, and what its process uses."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.bare import Place
from calendarsync.client import CalendarSync
from calendarsync.client.models import Log, Operation
from calendarsync.demo.processes import calendarsync, installation

_A_DAY = 86_400
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class FirstSync:
    """`seconds` of the wall, `cpu` seconds of our process; `peak` and `idle` are its resident MB."""

    pair: str
    seconds: float
    cpu: float
    requests: int
    peak: float
    idle: float


@dataclass(frozen=True)
class Service:
    client: CalendarSync
    process: int

    def pair(self, a: Place, b: Place, events: int) -> FirstSync:
        """Pair two calendars, and wait until the schedule has synced them."""
        ids = [self._connect(place) for place in (a, b)]
        idle = memory(self.process, "VmRSS")
        Path(f"/proc/{self.process}/clear_refs").write_text("5")  # begins the peak anew
        started, cpu = perf_counter(), cpu_seconds(self.process)
        pair = self.client.sync_pairs.create(*ids, sync_mode="full", direction="a_to_b").id
        while not (logs := self.logs(pair)):
            # Each look takes time of the process that is measured: one for each fiftieth of the time passed.
            time.sleep(max(_LOOK_SECONDS, (perf_counter() - started) / 50))
        seconds, cpu = perf_counter() - started, cpu_seconds(self.process) - cpu
        assert (logs[0].status, logs[0].events_created) == ("success", events), self._skipped(logs[0])
        return FirstSync(pair, seconds, cpu, logs[0].provider_requests, memory(self.process, "VmHWM"), idle)

    def trigger(self, pair: str) -> float:
        """Seconds until a trigger is answered."""
        started = perf_counter()
        answer = self.client.sync_pairs.trigger(pair)
        seconds = perf_counter() - started
        assert answer.success, answer
        return seconds

    def logs(self, pair: str) -> list[Log]:
        """The runs of a pair, the newest first."""
        return self.client.logs.list(pair_id=pair).all()

    def _skipped(self, log: Log) -> list[Log | Operation]:
        operations = self.client.logs.get(log.id).operations
        return [log, *(operation for operation in operations if operation.action == "skip")]

    def _connect(self, place: Place) -> str:
        server, url = place.server, place.calendar
        return self.client.connections.create(
            "caldav", url=url, username=server.username, password=server.password, calendar_id=url
        ).id


def memory(process: int, name: str) -> float:
    """`VmRSS` or `VmHWM` of a process, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def cpu_seconds(process: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")  # utime and stime


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """An installation of its own in the new `folder`, whose schedule polls once a day."""
    own = installation(folder, _A_DAY)
    with calendarsync(own) as server:
        own.command("accounts", "create", "--email", "bench@example.com")
        key = own.command("keys", "create", "--account", "bench@example.com")
        with CalendarSync(key, base_url=server.url) as client:
            yield Service(client, server.process.pid)
