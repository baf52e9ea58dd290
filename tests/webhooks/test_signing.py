"""Signatures, against the library of Standard Webhooks, and what is no signature of ours."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from calendarsync.webhooks.signing import (
    PREVIOUS_SIGNATURE,
    SIGNATURE,
    STANDARD_ID,
    STANDARD_SIGNATURE,
    STANDARD_TIMESTAMP,
    SignatureError,
    headers,
    new_secret,
    verify,
)

SECRET, OLD, OTHER = new_secret(), new_secret(), new_secret()
BODY = '{"id":"evt_1","name":"Büro"}'.encode()
NOW = 1_774_692_000


def signed(*secrets: str, at: int = NOW, body: bytes = BODY) -> dict[str, str]:
    return headers(secrets or (SECRET,), "evt_1", at, body)


def code(secret: str, given_headers: dict[str, str], body: bytes = BODY, **options: object) -> str:
    with pytest.raises(SignatureError) as caught:
        verify(secret, given_headers, body, **{"now": NOW, **options})  # type: ignore[arg-type]
    assert str(caught.value) == caught.value.message
    return caught.value.code


def test_a_secret_is_what_standard_webhooks_asks_for() -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"), validate=True)
    assert SECRET.startswith("whsec_")
    assert len(key) == 32
    assert len({SECRET, OLD, OTHER}) == 3


@given(body=st.text(), event_id=st.from_regex(r"evt_[0-9A-Za-z]{1,22}", fullmatch=True))
def test_the_library_of_standard_webhooks_agrees(body: str, event_id: str) -> None:
    raw, now = body.encode(), int(time.time())
    sent = headers((SECRET, OLD), event_id, now, raw)
    for secret in (SECRET, OLD):
        Webhook(secret).verify(raw, sent, json_parse=False)
        verify(secret, sent, raw, now=now)
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(raw, sent, json_parse=False)


@given(body=st.text())
def test_what_the_library_signs_is_accepted(body: str) -> None:
    mine = Webhook(SECRET).sign("evt_1", datetime.fromtimestamp(NOW, UTC), body)
    sent = {STANDARD_ID: "evt_1", STANDARD_TIMESTAMP: str(NOW), STANDARD_SIGNATURE: mine}
    verify(SECRET, sent, body.encode(), now=NOW)


@given(body=st.binary(), other=st.binary())
def test_another_body_has_another_signature(body: bytes, other: bytes) -> None:
    sent = signed(SECRET, OLD, body=body)
    verify(SECRET, sent, body, now=NOW)
    if other != body:
        assert code(SECRET, sent, other) == "no_match"


def test_both_secrets_sign_while_they_overlap() -> None:
    alone, both = signed(SECRET), signed(SECRET, OLD)
    assert PREVIOUS_SIGNATURE not in alone
    assert both[SIGNATURE] == alone[SIGNATURE]
    assert both[PREVIOUS_SIGNATURE] == signed(OLD)[SIGNATURE]
    assert both[STANDARD_SIGNATURE].split(" ") == [
        alone[STANDARD_SIGNATURE],
        signed(OLD)[STANDARD_SIGNATURE],
    ]
    verify(OLD, both, BODY, now=NOW)
    assert code(OLD, alone) == code(OTHER, both) == "no_match"


def test_names_of_headers_are_taken_in_any_case() -> None:
    verify(SECRET, {name.upper(): value for name, value in signed().items()}, BODY, now=NOW)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-301, "too_new"), (-300, None), (0, None), (300, None), (301, "too_old")]
)
def test_what_is_old_is_refused(seconds: int, expected: str | None) -> None:
    if expected is None:
        verify(SECRET, signed(), BODY, now=NOW + seconds)
    else:
        assert code(SECRET, signed(), now=NOW + seconds) == expected
        verify(SECRET, signed(), BODY, now=NOW + seconds, tolerance_seconds=301)


@pytest.mark.parametrize("missing", [STANDARD_ID, STANDARD_TIMESTAMP, STANDARD_SIGNATURE])
def test_a_header_that_is_missing_or_empty(missing: str) -> None:
    sent = signed()
    assert code(SECRET, {**sent, missing: ""}) == "missing_headers"
    del sent[missing]
    # Nor does the other family stand in for a family of which a part is there.
    assert code(SECRET, sent) == code(SECRET, sent, untimed=True) == "missing_headers"


@pytest.mark.parametrize("changed", [STANDARD_ID, STANDARD_TIMESTAMP])
def test_id_and_time_are_signed(changed: str) -> None:
    assert code(SECRET, {**signed(), changed: str(NOW + 1)}) == "no_match"


@pytest.mark.parametrize(
    "timestamp", ["soon", "1774692000.0", "-5", "1e9", "٣", "1" * 12, " 1774692000", "1774692000\n"]
)
def test_a_time_that_is_none(timestamp: str) -> None:
    assert code(SECRET, {**signed(), STANDARD_TIMESTAMP: timestamp}) == "malformed_headers"


@pytest.mark.parametrize(
    "signature", ["v1", "v1,", "v2,x", " ", ",", "v1,é", "v1a,x", "v1,\udcff", "x " * 5000]
)
def test_signatures_that_are_none(signature: str) -> None:
    assert code(SECRET, {**signed(), STANDARD_SIGNATURE: signature}) == "no_match"


def test_a_signature_of_another_version_spoils_nothing() -> None:
    sent = signed()
    sent[STANDARD_SIGNATURE] = f"v1a,abc {sent[STANDARD_SIGNATURE]} v2,def"
    verify(SECRET, sent, BODY, now=NOW)


def test_the_body_alone_is_enough_only_where_that_is_asked_for() -> None:
    both = signed(SECRET, OLD)
    alone = {name: both[name] for name in (SIGNATURE, PREVIOUS_SIGNATURE)}
    assert code(SECRET, alone) == "missing_headers"
    verify(SECRET, alone, BODY, now=NOW + 10**9, untimed=True)
    verify(OLD, alone, BODY, now=NOW, untimed=True)
    assert code(OTHER, alone, untimed=True) == code(SECRET, alone, b"", untimed=True) == "no_match"
    assert code(SECRET, {}, untimed=True) == "missing_headers"
    upper = {SIGNATURE: alone[SIGNATURE].upper()}
    assert code(SECRET, upper, untimed=True) == "no_match"
    # What tells the time is judged by it, whatever is asked for.
    assert code(SECRET, both, now=NOW + 999, untimed=True) == "too_old"


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "secret", "whsec_***", "WHSEC_MDEy", "whsec_MDE", "whsec_MDEy MDEy"]
)
def test_what_is_no_secret_is_told_apart_from_a_wrong_signature(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify(secret, signed(), BODY, now=NOW)
    with pytest.raises(ValueError, match="whsec_"):
        headers((secret,), "evt_1", NOW, BODY)
