"""Errors that some routes have, for the OpenAPI document; api/documents.py adds what all have."""

from __future__ import annotations

from typing import Any

from calendarsync.api.errors import ErrorBody

Responses = dict[int | str, dict[str, Any]]


def _error(status: int, description: str) -> Responses:
    return {status: {"model": ErrorBody, "description": description}}


NOT_FOUND: Responses = _error(404, "There is no such resource for this account and mode.")
CONFLICT: Responses = _error(409, "It does not go together with what there is.")
