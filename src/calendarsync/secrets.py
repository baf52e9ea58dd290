"""Keys derived from the installation's secret, and where that secret is kept.

Each purpose has its own key (HKDF, RFC 5869), so that one tells nothing about another. Older secrets
go on verifying and decrypting after a rotation; only the current one signs and encrypts.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MIN_SECRET_BYTES = 32
SECRET_FILE = "calendarsync.key"  # noqa: S105 - a file's name

_FORMAT = b"\x01"
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12  # NIST SP 800-38D section 8.2.2


class SecretError(ValueError):
    """The secret cannot be used, or does not fit what was made with it. The message never repeats it."""


class Keyring:
    """What can be done with the installation's secrets, the current one first, older ones after it."""

    def __init__(self, installation_secrets: Sequence[bytes]) -> None:
        """Raises SecretError where there is none, or one shorter than 32 bytes."""
        if not installation_secrets:
            raise SecretError("the secret is empty")
        if any(len(secret) < MIN_SECRET_BYTES for secret in installation_secrets):
            raise SecretError(f"a secret must have at least {MIN_SECRET_BYTES} bytes")
        self.mark_keys = _derive_all(installation_secrets, "mark")
        """They bind a copy to its origin (rule 1): the first signs, all verify."""
        self.fingerprint_key = _derive(installation_secrets[0], "fingerprint")
        self.checks = tuple(_derive(secret, "check").hex() for secret in installation_secrets)
        """One value a secret, to be stored: it tells whether a start has the secret of an earlier one."""
        self._ciphers = {
            _derive(secret, "cipher id")[:_KEY_ID_BYTES]: AESGCM(_derive(secret, "cipher"))
            for secret in installation_secrets
        }
        self._current_cipher = next(iter(self._ciphers))
        self._api_key_keys = _derive_all(installation_secrets, "api key")
        self._session_keys = _derive_all(installation_secrets, "session")
        self._channel_keys = _derive_all(installation_secrets, "channel")
        self._grant_keys = _derive_all(installation_secrets, "grant")
        self._subject_key = _derive(installation_secrets[0], "limit subject")
        self._request_key = _derive(installation_secrets[0], "request")

    def __repr__(self) -> str:
        return f"Keyring({len(self.checks)} secrets)"

    def encrypt(self, plain: bytes, context: str) -> bytes:
        """`context` says whose it is, such as a connection's id; without it nobody can decrypt."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = _FORMAT + self._current_cipher
        sealed = self._ciphers[self._current_cipher].encrypt(nonce, plain, head + context.encode())
        return head + nonce + sealed

    def is_current(self, sealed: bytes) -> bool:
        """Whether it was encrypted with the newest secret."""
        return sealed.startswith(_FORMAT + self._current_cipher)

    def decrypt(self, sealed: bytes, context: str) -> bytes:
        """The inverse of `encrypt`. Raises SecretError: another secret, another context, or damage."""
        head = sealed[: len(_FORMAT) + _KEY_ID_BYTES]
        cipher = self._ciphers.get(head[len(_FORMAT) :])
        if cipher is None or not head.startswith(_FORMAT):
            raise SecretError("encrypted with a secret that this installation does not have")
        nonce, body = sealed[len(head) : len(head) + _NONCE_BYTES], sealed[len(head) + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, body, head + context.encode())
        except (InvalidTag, ValueError):
            raise SecretError("damaged, or it belongs to something else") from None

    def key_hash(self, text: str) -> str:
        """What is stored of an API key: 64 characters of hex."""
        return self.key_hashes(text)[0]

    def key_hashes(self, text: str) -> tuple[str, ...]:
        """All hashes under which `text` may be stored, the current one first."""
        return tuple(hmac.new(key, text.encode(), hashlib.sha256).hexdigest() for key in self._api_key_keys)

    def session_hash(self, token: str) -> str:
        """What is stored of the token of somebody who is signed in: 64 characters of hex."""
        return self.session_hashes(token)[0]

    def session_hashes(self, token: str) -> tuple[str, ...]:
        """All hashes under which `token` may be stored, the current one first."""
        return tuple(hmac.new(key, token.encode(), hashlib.sha256).hexdigest() for key in self._session_keys)

    def channel_hash(self, token: str) -> str:
        """What is stored of what a provider has to send along with a notice: 64 characters of hex."""
        return self.channel_hashes(token)[0]

    def channel_hashes(self, token: str) -> tuple[str, ...]:
        """All hashes under which `token` may be stored, the current one first."""
        return tuple(hmac.new(key, token.encode(), hashlib.sha256).hexdigest() for key in self._channel_keys)

    def grant_hash(self, text: str) -> str:
        """A keyed name for a server and a user there; it tells neither."""
        return self.grant_hashes(text)[0]

    def grant_hashes(self, text: str) -> tuple[str, ...]:
        """All names under which they may be known, the current one first."""
        return tuple(hmac.new(key, text.encode(), hashlib.sha256).hexdigest() for key in self._grant_keys)

    def subject_hash(self, kind: str, text: str) -> str:
        """A keyed name for whom a limit counts, such as a client's address; it tells nothing of `text`."""
        return hmac.new(self._subject_key, f"{kind} {text}".encode(), hashlib.sha256).hexdigest()

    def request_hash(self, *parts: bytes) -> str:
        """A keyed name for what a request is, or for what it sends: the same for the same parts alone."""
        exact = b"".join(len(part).to_bytes(8) + part for part in parts)
        return hmac.new(self._request_key, exact, hashlib.sha256).hexdigest()


def parse_secrets(text: str) -> tuple[bytes, ...]:
    """Secrets separated by commas or line breaks, the newest first."""
    return tuple(part.strip().encode() for part in re.split(r"[,\n]", text) if part.strip())


def open_keyring(given: str | None, folder: Path, *, make: bool = True) -> Keyring:
    """The keyring of the secrets `given`, else of those kept in `folder`; with `make` one is made, if need be.

    Processes that start together agree on one. Raises SecretError, OSError.
    """
    if given is not None:
        return Keyring(parse_secrets(given))
    path = folder / SECRET_FILE
    if not path.exists():
        if not make:
            raise SecretError(f"{path}, or a secret that the database was made with, is missing")
        _make(path)
    try:
        return Keyring(parse_secrets(path.read_text("utf-8")))
    except ValueError as error:  # UnicodeDecodeError too
        reason = error if isinstance(error, SecretError) else "not a text file"
        raise SecretError(f"{path}: {reason}") from None


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces what another process has put there meanwhile.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        Path(temporary).unlink()


def _derive(secret: bytes, purpose: str) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=f"calendarsync {purpose}".encode()).derive(secret)


def _derive_all(installation_secrets: Sequence[bytes], purpose: str) -> tuple[bytes, ...]:
    return tuple(_derive(secret, purpose) for secret in installation_secrets)
