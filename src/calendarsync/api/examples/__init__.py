"""Examples for the OpenAPI document: of every body and every answer, all about the same few things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calendarsync.api.examples import account, sandbox, sync
from calendarsync.api.examples.account import WEBHOOK_SECRET
from calendarsync.api.examples.sync import AT, EXPIRED, FAILED, LOG

__all__ = ["ANSWERS", "AT", "BODIES", "EXPIRED", "FAILED", "LOG", "WEBHOOK_SECRET"]

BODIES: Mapping[str, Mapping[str, Any]] = {**sync.BODIES, **account.BODIES, **sandbox.BODIES}
"""By operation: bodies by a title in words."""

ANSWERS: Mapping[str, Mapping[int, Any]] = {**sync.ANSWERS, **account.ANSWERS, **sandbox.ANSWERS}
"""By operation and status."""
