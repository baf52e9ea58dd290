"""Settings: environment variables `CALENDARSYNC_*`, also read from `.env`, each with a `_FILE` twin.

`CALENDARSYNC_SECRET_KEY_FILE=/run/secrets/key` reads the value from that file. The environment wins over
`.env`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

PREFIX = "CALENDARSYNC_"
DATABASE_FILE = "calendarsync.sqlite3"

Network = IPv4Network | IPv6Network


class SettingsError(ValueError):
    """A setting that cannot be used. The message names it, and never repeats its value."""


Backend = Literal["sqlite", "postgresql"]

_POSTGRESQL = ("postgresql", "postgres")
# What asyncpg takes for an option of the connection; it would send any other word to the server as a setting.
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_OPTIONS = frozenset(
    {
        "dbname",
        "host",
        "passfile",
        "password",
        "port",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslnegotiation",
    }
    | {"sslpassword", "sslrootcert", "target_session_attrs", "user"}
)


def backend_of(url: str) -> Backend:
    """Which database an address names. Raises ValueError, which never repeats the address."""
    scheme, separator, _ = url.partition("://")
    if separator and scheme in _POSTGRESQL:
        _check_postgresql(url)
        return "postgresql"
    sqlite_path(url)
    return "sqlite"


def sqlite_path(url: str) -> Path:
    """The file of an address `sqlite:///…`. Raises ValueError, which never repeats the address."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(
            "not a database address; write sqlite:///path or postgresql://user:password@host/database"
        ) from None
    if parsed.get_backend_name() in _POSTGRESQL:
        raise ValueError("an address of PostgreSQL begins with postgresql:// and names no driver")
    if parsed.get_backend_name() != "sqlite":
        raise ValueError("this kind of database is not supported; write sqlite:///path or postgresql://…")
    file = parsed.database or ""
    if parsed.query or parsed.host or not file or file.startswith(("file:", ":memory:")):
        raise ValueError("an SQLite address has the form sqlite:///path, with a file and nothing else")
    return Path(file)


def _check_postgresql(url: str) -> None:
    try:
        query = urlsplit(url).query
        options = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError:
        raise ValueError(
            "the address of PostgreSQL cannot be read; is a special character not escaped?"
        ) from None
    if urlsplit(url).fragment or not _OPTIONS.issuperset(options):
        raise ValueError(
            "after the question mark an address of PostgreSQL takes only " + ", ".join(sorted(_OPTIONS))
        )
    if options.get("sslmode", "prefer") not in _SSL_MODES:
        raise ValueError("sslmode must be one of " + ", ".join(_SSL_MODES))


def _default_database_url() -> str:
    """SQLite in the user's data directory (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # The specification says that a relative path is to be ignored.
    folder = Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "share"
    return f"sqlite:///{folder / 'calendarsync' / DATABASE_FILE}"


class _EnvironmentAndFiles(PydanticBaseSettingsSource):
    """Values by field name. An empty value counts as none."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # only `__call__` is used

    def __call__(self) -> dict[str, Any]:
        given: Mapping[str, str | None] = {**dotenv_values(".env"), **os.environ}
        values: dict[str, Any] = {}
        for field in self.settings_cls.model_fields:
            name = f"{PREFIX}{field.upper()}"
            value, file = given.get(name), given.get(f"{name}_FILE")
            if value and file:
                raise SettingsError(f"{name} and {name}_FILE are both set; set one of them")
            if file:
                value = _read(f"{name}_FILE", Path(file))
            if value:
                values[field] = value
        return values


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except UnicodeDecodeError:
        raise SettingsError(f"{name}: the file is not text in UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{name}: the file cannot be read: {error.strerror}") from None


class Settings(BaseSettings):
    """Everything that an installation can be told. `Settings.load()` gives readable errors."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # Kept out of the repr: an address may hold a password.
    database_url: str = Field(default_factory=_default_database_url, repr=False)
    secret_key: SecretStr | None = Field(default=None, validate_default=True)
    public_url: str = "http://127.0.0.1:8000"
    poll_interval_seconds: int = Field(default=300, ge=1, le=86_400)
    slowest_poll_seconds: int = Field(default=3600, ge=1, le=86_400)
    allowed_private_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    metrics_token: SecretStr | None = None
    google_client_id: str | None = None
    google_client_secret: SecretStr | None = None
    google_requests_per_minute: int = Field(default=10_000, ge=1, le=10_000_000)
    google_api_url: str = "https://www.googleapis.com"
    google_auth_url: str = "https://accounts.google.com"
    google_token_url: str = "https://oauth2.googleapis.com"  # noqa: S105 - an address
    microsoft_client_id: str | None = None
    microsoft_client_secret: SecretStr | None = None
    microsoft_requests_per_minute: int = Field(default=600_000, ge=1, le=10_000_000)
    microsoft_api_url: str = "https://graph.microsoft.com"
    microsoft_auth_url: str = "https://login.microsoftonline.com"
    admin_email: str | None = None
    admin_password: SecretStr | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _EnvironmentAndFiles(settings_cls)

    @classmethod
    def load(cls) -> Settings:
        """Raises SettingsError, with one line for each setting that is wrong."""
        try:
            return cls()
        except ValidationError as error:
            lines = [f"{PREFIX}{str(each['loc'][0]).upper()}: {_reason(each)}" for each in error.errors()]
            raise SettingsError("\n".join(lines)) from None

    @property
    def data_folder(self) -> Path | None:
        """Where the embedded database is, and what is kept beside it; None with PostgreSQL."""
        if backend_of(self.database_url) == "postgresql":
            return None
        return sqlite_path(self.database_url).parent

    @property
    def pace(self) -> str:
        """How often pairs are polled, in words that may be shown."""
        poll, slowest = self.poll_interval_seconds, self.slowest_poll_seconds
        slower = f", less often while nothing changes, every {slowest} s at least" if slowest > poll else ""
        return f"Every pair is synced every {poll} s{slower}."

    @property
    def database_label(self) -> str:
        """The database in words that may be shown: the absolute path of its file, or "PostgreSQL"."""
        if backend_of(self.database_url) == "postgresql":
            return "PostgreSQL"
        return str(sqlite_path(self.database_url).absolute())

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        if backend_of(value) == "sqlite" and os.path.isdir(
            sqlite_path(value)
        ):  # unlike Path's, it never raises
            raise ValueError(
                "is a directory; name the file in it, such as sqlite:////srv/calendarsync.sqlite3"
            )
        return value

    @field_validator("secret_key")
    @classmethod
    def _require_secret_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        url = info.data.get("database_url")  # absent where it is wrong itself
        if value is None and url is not None and backend_of(url) == "postgresql":
            raise ValueError(
                "is required with PostgreSQL, and must be the same for every process; make one with: "
                "openssl rand -hex 32"
            )
        return value

    @field_validator("admin_password")
    @classmethod
    def _require_admin_email(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and "admin_email" in info.data and info.data["admin_email"] is None:
            raise ValueError(f"needs {PREFIX}ADMIN_EMAIL beside it")
        return value

    @field_validator(
        *("public_url", "google_api_url", "google_auth_url", "google_token_url"),
        *("microsoft_api_url", "microsoft_auth_url"),
    )
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("an address such as https://calendar.example.com is needed")
        if parts.username or parts.password:
            raise ValueError("no user name or password may stand in it")
        # Others look at how it begins to tell whether it is safe.
        return f"{parts.scheme}{value[len(parts.scheme) :]}".rstrip("/")

    @field_validator("allowed_private_networks", "trusted_proxies", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        networks = []
        for part in filter(None, (part.strip() for part in value.split(","))):
            try:
                networks.append(ip_network(part))
            except ValueError:
                raise ValueError(
                    f'"{part}" is not a network; write CIDRs such as 192.168.1.0/24, separated by commas'
                ) from None
        return tuple(networks)


_REASONS = {
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number that is not as long",
    "int_from_float": "must be a whole number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "value_error":  # one of the validators above
        return error["msg"].removeprefix("Value error, ")
    return _REASONS.get(error["type"], "must be of another form").format_map(error.get("ctx", {}))
