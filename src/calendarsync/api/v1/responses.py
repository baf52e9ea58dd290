"""Errors that some routes have, for the OpenAPI document; api/documents.py adds what all have."""

from __future__ import annotations

from typing import Any

from calendarsync.api.errors import ErrorBody

Responses = dict[int | str, dict[str, Any]]

NOT_FOUND: Responses = {404: {"model": ErrorBody}}
CONFLICT: Responses = {409: {"model": ErrorBody}}
