"""The installation's secret: made once, kept apart, missed when it is another."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from calendarsync.accounts.installation import open_installation
from calendarsync.secrets import SECRET_FILE, Keyring, SecretError, open_keyring
from calendarsync.settings import Settings
from calendarsync.store.database import Database

FIRST, SECOND = "first secret of 32 bytes at the least", "second secret of 32 bytes at the least"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/data/test.sqlite3"


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    await database.migrate()
    yield database
    await database.close()


def with_secret(url: str, secret: str | None) -> Settings:
    return Settings(database_url=url, secret_key=SecretStr(secret) if secret else None)


async def test_the_secret_is_made_once_and_for_the_owner_alone(
    url: str, database: Database, tmp_path: Path
) -> None:
    first = await open_installation(with_secret(url, None), database)
    file = tmp_path / "data" / SECRET_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []
    again = await open_installation(with_secret(url, None), database)
    assert first.mark_keys == again.mark_keys
    assert again.decrypt(first.encrypt(b"plain", "conn_1"), "conn_1") == b"plain"


async def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from calendarsync.secrets import open_keyring;"
        "print(open_keyring(None, Path(sys.argv[1])).checks[0])"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(tmp_path / "new"), stdout=subprocess.PIPE
        )
        for _ in range(8)
    ]
    assert len({(await process.communicate())[0] for process in processes}) == 1


async def test_another_secret_is_noticed(url: str, database: Database) -> None:
    await open_installation(with_secret(url, FIRST), database)
    for other, words in ((SECOND, "another secret"), (None, "is missing")):
        with pytest.raises(SecretError, match=words) as caught:
            await open_installation(with_secret(url, other), database)
        assert SECOND not in str(caught.value)
    await open_installation(with_secret(url, FIRST), database)


async def test_a_lost_secret_is_told_and_no_other_put_in_its_place(url: str, database: Database) -> None:
    settings = with_secret(url, None)
    await open_installation(settings, database)
    secret_file = settings.data_folder / SECRET_FILE
    secret_file.unlink()
    with pytest.raises(SecretError, match="is missing"):
        await open_installation(settings, database)
    assert not secret_file.exists()


async def test_rotation(url: str, database: Database) -> None:
    await open_installation(with_secret(url, FIRST), database)
    await open_installation(with_secret(url, f"{SECOND},{FIRST}"), database)
    await open_installation(with_secret(url, SECOND), database)
    with pytest.raises(SecretError):
        await open_installation(with_secret(url, FIRST), database)


async def test_a_new_database_takes_a_new_secret(url: str, database: Database, tmp_path: Path) -> None:
    await open_installation(with_secret(url, FIRST), database)
    fresh = Database(f"sqlite:///{tmp_path}/fresh/test.sqlite3")
    await fresh.migrate()
    await open_installation(with_secret(url, SECOND), fresh)
    await fresh.close()


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40])
async def test_a_spoilt_file_is_named(url: str, database: Database, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data" / SECRET_FILE).write_bytes(content)
    with pytest.raises(SecretError, match=SECRET_FILE) as caught:
        await open_installation(with_secret(url, None), database)
    assert "CALENDARSYNC_SECRET_KEY" in str(caught.value)


def test_each_purpose_has_its_own_key() -> None:
    ring = Keyring([FIRST.encode()])
    told = [ring.mark_keys[0].hex(), ring.fingerprint_key.hex(), ring.checks[0]]
    told += [ring.key_hash("x"), ring.session_hash("x"), ring.grant_hash("x"), ring.request_hash(b"x")]
    told += [ring.subject_hash("network", "x"), ring.subject_hash("sign-in client", "x")]
    assert len(set(told)) == len(told)
    assert FIRST not in repr(ring)
    assert all(len(key) == 32 for key in (*ring.mark_keys, ring.fingerprint_key))


def test_the_current_secret_comes_first() -> None:
    old, new = Keyring([FIRST.encode()]), Keyring([SECOND.encode()])
    both = Keyring([SECOND.encode(), FIRST.encode()])
    assert both.mark_keys == (new.mark_keys[0], old.mark_keys[0])
    assert both.fingerprint_key == new.fingerprint_key
    assert both.key_hashes("x") == (new.key_hash("x"), old.key_hash("x"))
    assert both.key_hash("x") == new.key_hash("x")
    assert both.decrypt(old.encrypt(b"plain", "a"), "a") == b"plain"
    assert new.decrypt(both.encrypt(b"plain", "a"), "a") == b"plain"
    with pytest.raises(SecretError, match="does not have"):
        old.decrypt(both.encrypt(b"plain", "a"), "a")


def test_a_ciphertext_belongs_to_one_row_and_cannot_be_changed() -> None:
    ring = Keyring([FIRST.encode()])
    sealed = ring.encrypt(b"plain", "conn_1")
    assert sealed != ring.encrypt(b"plain", "conn_1")
    with pytest.raises(SecretError):
        ring.decrypt(sealed, "conn_2")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SecretError):
            ring.decrypt(bytes(changed), "conn_1")
        with pytest.raises(SecretError):
            ring.decrypt(sealed[:place], "conn_1")


@pytest.mark.parametrize("given", ["", " , ", "short", f"{FIRST},short"])
def test_weak_secrets_are_refused(given: str, tmp_path: Path) -> None:
    with pytest.raises(SecretError):
        open_keyring(given, tmp_path)
