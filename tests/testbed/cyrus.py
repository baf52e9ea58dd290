"""A real Cyrus from Debian's packages: users alice and bob, whose password is their name and "-password".

It takes a UID only once in all calendars of one person, so tests that use a UID twice need a `newcomer`.
"""

from __future__ import annotations

import imaplib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.testbed.dav import DavServer
from tests.testbed.process import free_port, running

USERS = ("alice", "bob")
_MASTER = Path("/usr/sbin/cyrmaster")
_PROGRAMS = Path("/usr/lib/cyrus/bin")
_FOLDERS = (
    *("db", "socket", "proc", "lock", "log", "msg", "ptclient", "md5", "user", "quota", "sync", "backup"),
)

_IMAPD = """
configdirectory: {folder}/conf
partition-default: {folder}/spool
defaultpartition: default
admins: cyrus
allowplaintext: yes
sasl_mech_list: PLAIN
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {folder}/sasldb2
virtdomains: off
unixhierarchysep: yes
altnamespace: yes
httpmodules: caldav tzdist ischedule
httpallowtrace: no
caldav_allowattach: on
caldav_allowcalendaradmin: yes
caldav_allowscheduling: on
caldav_create_default: yes
calendar_user_address_set: example.com
servername: localhost
zoneinfo_db_path: {folder}/zoneinfo.db
sievedir: {folder}/sieve
hashimapspool: off
"""

_SERVICES = """
START {{
  recover cmd="{programs}/ctl_cyrusdb -r -C {folder}/imapd.conf"
}}
SERVICES {{
  imap cmd="{programs}/imapd -C {folder}/imapd.conf" listen="127.0.0.1:{imap}" prefork=0
  http cmd="{programs}/httpd -C {folder}/imapd.conf" listen="127.0.0.1:{http}" prefork=1
}}
EVENTS {{
}}
"""


@dataclass(frozen=True)
class CyrusServer(DavServer):
    """Cyrus as one user sees it; `user()` gives another user's view."""

    imap: int
    folder: Path

    def user(self, username: str) -> CyrusServer:
        home = f"{self.url}dav/calendars/user/{username}/"
        return replace(self, home=home, username=username, password=f"{username}-password")

    def newcomer(self) -> CyrusServer:
        name = f"u{uuid.uuid4().hex}"
        _set_passwords(self.folder, name)
        _create_mailboxes(self.imap, name)
        return self.user(name)


def missing() -> str | None:
    """Why Cyrus cannot run here; None where it can."""
    if not _MASTER.exists() or not (_PROGRAMS / "httpd").exists() or shutil.which("saslpasswd2") is None:
        return "no Cyrus here: Debian's cyrus-imapd, cyrus-caldav and sasl2-bin are not installed"
    if os.geteuid() != 0:
        return "Cyrus needs root to start"
    return None


@contextmanager
def cyrus_server() -> Iterator[CyrusServer]:
    """Run Cyrus, as alice sees it, in a folder of its own. Needs root."""
    # Its processes run as the user cyrus, who must be able to reach the folder.
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        folder = Path(name)
        http, imap = free_port(), free_port()
        _prepare(folder, http=http, imap=imap)
        options = {"-C": "imapd.conf", "-M": "cyrus.conf", "-p": "master.pid", "-L": "master.log"}
        command = [str(_MASTER)]
        for option, file in options.items():
            command += [option, str(folder / file)]
        with running(command, http, folder / "log") as service:
            _create_mailboxes(imap, *USERS)
            url = f"http://127.0.0.1:{http}/"
            yield CyrusServer(url, "", "", "", imap, folder, service=service).user("alice")


def _prepare(folder: Path, *, http: int, imap: int) -> None:
    folder.chmod(0o755)
    for path in (*(f"conf/{name}" for name in _FOLDERS), "spool/stage.", "sieve"):
        (folder / path).mkdir(parents=True)
    (folder / "imapd.conf").write_text(_IMAPD.format(folder=folder))
    services = _SERVICES.format(folder=folder, programs=_PROGRAMS, http=http, imap=imap)
    (folder / "cyrus.conf").write_text(services)
    _set_passwords(folder, "cyrus", *USERS)
    subprocess.run(["chown", "-R", "cyrus:mail", str(folder)], check=True)


def _set_passwords(folder: Path, *users: str) -> None:
    for user in users:
        command = ["saslpasswd2", "-p", "-c", "-f", str(folder / "sasldb2"), "-u", "localhost", user]
        subprocess.run(command, input=f"{user}-password".encode(), check=True)


def _create_mailboxes(port: int, *users: str) -> None:
    with imaplib.IMAP4("127.0.0.1", port) as admin:
        admin.login("cyrus", "cyrus-password")
        for user in users:
            assert admin.create(f"user/{user}")[0] == "OK"
