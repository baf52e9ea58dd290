"""Settings from the environment, from files, and from `.env`."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path

import pytest

from calendarsync.settings import Settings, SettingsError
from calendarsync.sync.pace import SLOWEST

SECRET = "canary secret of more than 32 bytes"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("CALENDARSYNC_") or name == "XDG_DATA_HOME":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def test_defaults(tmp_path: Path) -> None:
    settings = Settings.load()
    data = tmp_path / "home" / ".local" / "share" / "calendarsync"
    assert settings.database_url == f"sqlite:///{data}/calendarsync.sqlite3"
    assert settings.data_folder == data
    assert settings.secret_key is None
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.poll_interval_seconds == 300
    assert settings.slowest_poll_seconds == SLOWEST
    assert settings.allowed_private_networks == settings.trusted_proxies == ()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(("given", "used"), [("/data", "/data"), ("relative", "home"), ("", "home")])
def test_the_users_data_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str, used: str
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", given)
    base = Path("/data") if used == "/data" else tmp_path / "home" / ".local" / "share"
    assert Settings.load().data_folder == base / "calendarsync"


def test_everything_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATABASE_URL": "sqlite:////srv/calendars.db",
        "SECRET_KEY": SECRET,
        "PUBLIC_URL": "https://calendar.example.com/",
        "POLL_INTERVAL_SECONDS": "60",
        "ALLOWED_PRIVATE_NETWORKS": "10.0.0.0/8, ::1/128,192.168.1.7",
    }.items():
        monkeypatch.setenv(f"CALENDARSYNC_{name}", value)
    monkeypatch.setenv("CALENDARSYNC_ADMIN_EMAIL", "admin@example.com")
    monkeypatch.setenv("CALENDARSYNC_ADMIN_PASSWORD", SECRET)
    settings = Settings.load()
    assert settings.admin_email == "admin@example.com"
    assert settings.admin_password is not None
    assert settings.admin_password.get_secret_value() == SECRET
    assert settings.database_url == "sqlite:////srv/calendars.db"
    assert settings.data_folder == Path("/srv")
    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == SECRET
    assert settings.public_url == "https://calendar.example.com"
    assert settings.poll_interval_seconds == 60
    assert settings.allowed_private_networks == tuple(
        ip_network(each) for each in ("10.0.0.0/8", "::1/128", "192.168.1.7/32")
    )
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DATABASE_URL", "canary", "not a database address"),
        ("DATABASE_URL", "postgres+psycopg://user:canary@host/db", "names no driver"),
        ("DATABASE_URL", "mysql://user:canary@host/db", "not supported"),
        ("DATABASE_URL", "mysql://user:canary@host:canary/db", "not a database address"),
        ("DATABASE_URL", "postgresql://user:canary@[host/db", "cannot be read"),
        ("DATABASE_URL", "postgresql://user:canary@host/db?sslmode", "cannot be read"),
        ("DATABASE_URL", "postgresql://user:secret?canary=1@host/db", "takes only"),
        ("DATABASE_URL", "postgresql://user:canary@host/db#canary", "takes only"),
        ("DATABASE_URL", "postgresql://user:canary@host/db?sslmode=canary", "sslmode must be one of disable"),
        ("POLL_INTERVAL_SECONDS", "canary", ": must be a whole number"),
        ("POLL_INTERVAL_SECONDS", "1.5", ": must be a whole number"),
        ("POLL_INTERVAL_SECONDS", "9" * 5_000, ": must be a whole number"),
        ("POLL_INTERVAL_SECONDS", "0", ": must be at least 1"),
        ("POLL_INTERVAL_SECONDS", "86401", ": must be at most 86400"),
        ("SLOWEST_POLL_SECONDS", "0", ": must be at least 1"),
        ("SLOWEST_POLL_SECONDS", "86401", ": must be at most 86400"),
        ("DATABASE_URL", "sqlite:////", "is a directory"),
        ("DATABASE_URL", "sqlite:///.", "is a directory"),
        ("ADMIN_PASSWORD", "canary", ": needs CALENDARSYNC_ADMIN_EMAIL"),
        ("PUBLIC_URL", "calendar.example.com", "https://calendar.example.com"),
        ("PUBLIC_URL", "https://user:canary@calendar.example.com", "password"),
        ("ALLOWED_PRIVATE_NETWORKS", "10.0.0.0/8,10.0.0.1/8", '"10.0.0.1/8" is not a network'),
        ("ALLOWED_PRIVATE_NETWORKS", "localhost", '"localhost" is not a network'),
        ("TRUSTED_PROXIES", "10.0.0.0/8,proxy", '"proxy" is not a network'),
    ],
)
def test_what_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(f"CALENDARSYNC_{name}", value)
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert str(caught.value).startswith(f"CALENDARSYNC_{name}: ")
    assert message in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:canary@host:5433/db",
        "postgres://user:canary@host/db?sslmode=require",
        "postgresql://user@/db?host=/run/postgresql",
        "postgresql://user:canary@one:5432,two:5432/db?target_session_attrs=read-write",
    ],
)
def test_addresses_of_postgresql(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CALENDARSYNC_DATABASE_URL", url)
    with pytest.raises(SettingsError, match=r"^CALENDARSYNC_SECRET_KEY: is required with PostgreSQL"):
        Settings.load()
    monkeypatch.setenv("CALENDARSYNC_SECRET_KEY", SECRET)
    settings = Settings.load()
    assert settings.database_url == url
    assert settings.data_folder is None
    assert settings.database_label == "PostgreSQL"
    assert "canary" not in repr(settings)


def test_the_label_of_an_embedded_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CALENDARSYNC_DATABASE_URL", "sqlite:///calendars.db")
    assert Settings.load().database_label == str(tmp_path / "calendars.db")


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALENDARSYNC_POLL_INTERVAL_SECONDS", "often")
    monkeypatch.setenv("CALENDARSYNC_PUBLIC_URL", "nowhere")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert len(str(caught.value).splitlines()) == 2


def test_an_empty_value_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALENDARSYNC_POLL_INTERVAL_SECONDS", "")
    monkeypatch.setenv("CALENDARSYNC_SECRET_KEY", "")
    assert Settings.load().poll_interval_seconds == 300
    assert Settings.load().secret_key is None


def test_a_value_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    monkeypatch.setenv("CALENDARSYNC_SECRET_KEY_FILE", str(file))
    settings = Settings.load()
    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == SECRET
    monkeypatch.setenv("CALENDARSYNC_SECRET_KEY", SECRET)
    with pytest.raises(SettingsError, match="both set"):
        Settings.load()


def test_a_file_that_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CALENDARSYNC_SECRET_KEY_FILE", str(tmp_path / "nothere"))
    with pytest.raises(SettingsError, match="CALENDARSYNC_SECRET_KEY_FILE: the file cannot be read"):
        Settings.load()


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "CALENDARSYNC_POLL_INTERVAL_SECONDS=60\nCALENDARSYNC_PUBLIC_URL=https://a.example.com\nOTHER=1\n"
    )
    monkeypatch.setenv("CALENDARSYNC_POLL_INTERVAL_SECONDS", "90")
    assert Settings.load().poll_interval_seconds == 90
    assert Settings.load().public_url == "https://a.example.com"


def test_a_file_named_by_the_env_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / ".env").write_text("CALENDARSYNC_SECRET_KEY_FILE=secret\n")
    settings = Settings.load()
    assert settings.secret_key is not None
    assert settings.secret_key.get_secret_value() == SECRET


def test_what_is_safe_is_safe_however_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cookies, and what may be sent in clear, depend on how an address begins."""
    monkeypatch.setenv("CALENDARSYNC_PUBLIC_URL", "HTTPS://calendar.example.com/Path/")
    monkeypatch.setenv("CALENDARSYNC_GOOGLE_TOKEN_URL", "Http://127.0.0.1:4000")
    settings = Settings.load()
    assert settings.public_url == "https://calendar.example.com/Path"
    assert settings.google_token_url == "http://127.0.0.1:4000"


@pytest.mark.parametrize(
    ("slowest", "told"),
    [
        ("", "Every pair is synced every 300 s, less often while nothing changes, every 3600 s at least."),
        ("300", "Every pair is synced every 300 s."),
        ("60", "Every pair is synced every 300 s."),
    ],
)
def test_the_pace_is_told_in_words(monkeypatch: pytest.MonkeyPatch, slowest: str, told: str) -> None:
    monkeypatch.setenv("CALENDARSYNC_SLOWEST_POLL_SECONDS", slowest)
    assert Settings.load().pace == told
