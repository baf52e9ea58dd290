"""What has to be in place before anything runs: a schema, and the secret that the database was made with."""

from __future__ import annotations

from pathlib import Path

from calendarsync.secrets import SECRET_FILE, Keyring, SecretError, open_keyring
from calendarsync.settings import PREFIX, Settings
from calendarsync.store.accounts import claim_installation, is_claimed
from calendarsync.store.database import Database


async def open_installation(settings: Settings, database: Database) -> Keyring:
    """The keys of a database that `migrate()` has been run on.

    Raises SecretError, in words for the person who runs the server: no usable secret, or another one than the
    database was made with.
    """
    given = settings.secret_key.get_secret_value() if settings.secret_key else None
    folder = settings.data_folder
    assert given is not None or folder is not None  # Settings refuse PostgreSQL without a secret
    async with database.read() as connection:
        claimed = await is_claimed(connection)
    try:
        keyring = open_keyring(given, folder or Path(), make=not claimed)
    except SecretError as error:
        raise SecretError(f"{PREFIX}SECRET_KEY: {error}") from None
    except OSError as error:
        raise SecretError(
            f"{PREFIX}SECRET_KEY is not set, and the secret beside the database cannot be read or made: "
            f"{error.strerror}"
        ) from None
    async with database.write() as connection:
        fits = await claim_installation(connection, keyring.checks)
    if not fits:
        place = f", or the file {folder / SECRET_FILE}," if folder else ""
        raise SecretError(
            f"This database was made with another secret. Set {PREFIX}SECRET_KEY{place} to that one. If it is "
            "lost, start with a new database: pair the calendars again, and the first run finds the copies that "
            "are there."
        )
    return keyring
