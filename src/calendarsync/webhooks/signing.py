"""How a delivery is signed, and how its receiver finds out that it came from here.

Each carries two families of headers. `X-CalSync-Signature` signs the body. The headers of Standard Webhooks
(specification 1.0.0, standardwebhooks.com) sign id and time as well, so that a delivery that was listened to
cannot be sent again later. While two secrets overlap after a rotation, both sign.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets as dice
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
SIGNATURE = "X-CalSync-Signature"
PREVIOUS_SIGNATURE = "X-CalSync-Signature-Previous"
STANDARD_ID, STANDARD_TIMESTAMP, STANDARD_SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE_SECONDS = 300

_KEY_BYTES = 32  # Standard Webhooks asks for 24 to 64
_TIMESTAMP = re.compile(r"[0-9]{1,11}", re.ASCII)


class SignatureError(Exception):
    """A request that is not a delivery signed with the secret, or an old one.

    `code` is one of `missing_headers`, `malformed_headers`, `too_old`, `too_new`, `no_match`; `message` is a
    sentence for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


def new_secret() -> str:
    """`whsec_` and the base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(dice.token_bytes(_KEY_BYTES)).decode()


def headers(secrets: Sequence[str], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """What a delivery is sent with.

    `secrets` are the current one and, while they overlap, the previous; `timestamp` is the time of this
    attempt in Unix seconds; `body` is signed byte for byte. Raises ValueError for what is not a secret.
    """
    current, *previous = secrets
    return {
        SIGNATURE: _hex(current, body),
        **({PREVIOUS_SIGNATURE: _hex(previous[0], body)} if previous else {}),
        STANDARD_ID: event_id,
        STANDARD_TIMESTAMP: str(timestamp),
        STANDARD_SIGNATURE: " ".join(
            _standard(secret, event_id, str(timestamp), body) for secret in (current, *previous)
        ),
    }


def verify(
    secret: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    untimed: bool = False,
) -> None:
    """Raise SignatureError unless `body`, as it was received, was signed with `secret` about `now`.

    `headers` are the request's, in any case; `now` is in Unix seconds. The Standard Webhooks headers decide.
    `X-CalSync-Signature` tells no time: a request that has it alone might have been recorded months ago, and
    is accepted only with `untimed`, for receivers behind something that drops the others. Raises ValueError
    where `secret` is none.
    """
    key_of(secret)
    given = {name.lower(): value for name, value in headers.items()}
    if untimed and not given.keys() & {STANDARD_ID, STANDARD_TIMESTAMP, STANDARD_SIGNATURE}:
        _verify_body(secret, given, body)
    else:
        _verify_standard(secret, given, body, now, tolerance_seconds)


def _verify_standard(
    secret: str, given: Mapping[str, str], body: bytes, now: float, tolerance_seconds: float
) -> None:
    event_id, timestamp = given.get(STANDARD_ID), given.get(STANDARD_TIMESTAMP)
    signatures = given.get(STANDARD_SIGNATURE)
    if not event_id or not timestamp or not signatures:
        raise SignatureError(
            "missing_headers",
            f"The headers {STANDARD_ID}, {STANDARD_TIMESTAMP} and {STANDARD_SIGNATURE} are needed.",
        )
    if not _TIMESTAMP.fullmatch(timestamp):
        raise SignatureError("malformed_headers", f"{STANDARD_TIMESTAMP} is not a time in Unix seconds.")
    if not _among(_standard(secret, event_id, timestamp, body), signatures.split(" ")):
        raise _no_match()
    ahead_seconds = int(timestamp) - now
    if ahead_seconds < -tolerance_seconds:
        raise SignatureError(
            "too_old", f"The delivery was signed more than {tolerance_seconds:g} seconds ago."
        )
    if ahead_seconds > tolerance_seconds:
        raise SignatureError("too_new", "The delivery was signed in the future: the clocks do not agree.")


def _verify_body(secret: str, given: Mapping[str, str], body: bytes) -> None:
    found = [given[name] for name in (SIGNATURE.lower(), PREVIOUS_SIGNATURE.lower()) if name in given]
    if not found:
        raise SignatureError("missing_headers", f"The request has no signature: {SIGNATURE} is missing.")
    if not _among(_hex(secret, body), found):
        raise _no_match()


def _no_match() -> SignatureError:
    return SignatureError(
        "no_match", "No signature fits: another secret, or the body was changed on its way."
    )


def _among(expected: str, found: Sequence[str]) -> bool:
    """In constant time each; how many there are is no secret."""
    return any(hmac.compare_digest(expected.encode(), each.encode(errors="replace")) for each in found)


def _hex(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _standard(secret: str, event_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{event_id}.{timestamp}.".encode(errors="replace") + body
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


def key_of(secret: str) -> bytes:
    """What the Standard Webhooks signature is keyed with. Raises ValueError."""
    try:
        if not secret.startswith(PREFIX):
            raise ValueError
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not key:
        raise ValueError(f"a webhook secret is {PREFIX} and base64")
    return key
