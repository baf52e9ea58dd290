"""Idempotency-Key: a POST that is sent again gets the first answer, and nothing is done twice.

A row says who answers, and for how long that counts: a process that dies leaves it behind, and it runs out. While
the request is at work its time is renewed. Answers are kept compressed, for 3 kB of a bulk request may bring
400 kB, and encrypted; those that show a secret for minutes, and only for the API key that was told it.
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from fastapi import Request, Response
from sqlalchemy import RowMapping
from sqlalchemy.exc import SQLAlchemyError

from calendarsync.accounts.keys import Identity
from calendarsync.api.errors import ApiError, answer_to, conflict, invalid
from calendarsync.api.services import Services, services_of
from calendarsync.observability import describe_exception, get_logger
from calendarsync.store import idempotency as store
from calendarsync.store.database import DatabaseUnavailable

HEADER = "Idempotency-Key"
KEPT_FOR = timedelta(hours=24)
SECRETS_KEPT_FOR = timedelta(minutes=10)
LEASE = timedelta(seconds=60)
_RENEWED_EVERY = LEASE / 3

_FORM = re.compile(r"[ -~]{1,255}")
_NOT_KEPT = frozenset({401, 429})
# What is done is done, and its answer is worth more to the caller than an error about its keeping.
_NOT_WRITTEN = (DatabaseUnavailable, SQLAlchemyError)
_log = get_logger(__name__)

Answering = Callable[[], Awaitable[Response]]


def key_of(request: Request) -> str | None:
    """The key that the caller chose; None where there is none. Raises ApiError 422."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    if len(given) > 1:
        raise invalid((HEADER, "given more than once"))
    if not _FORM.fullmatch(given[0]):
        raise invalid((HEADER, "must be 1 to 255 printable characters of ASCII"))
    return given[0]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One request with a key. `key_hash` names account, mode, method, path and key; `body_hash` what is asked."""

    services: Services
    caller: Identity
    request_id: str
    key_hash: str
    body_hash: str
    secret: bool


async def answer_once(
    request: Request, caller: Identity, key: str, answer: Answering, *, secret: bool
) -> Response:
    """The answer to a POST: the first one where it was sent before. `secret`: it shows what is shown once.

    Raises ApiError 409 while the first is at work, and where that was another request, and what `answer` raises.
    """
    services = services_of(request)
    hash_of = services.keyring.request_hash
    of = (caller.account_id, caller.mode, request.method, request.scope["path"], key)
    attempt = _Attempt(
        services,
        caller,
        request.state.request_id,
        hash_of(*(part.encode() for part in of)),
        hash_of(request.scope["query_string"], await request.body()),
        secret,
    )
    earlier = await _take(attempt)
    if earlier is not None:
        return _replay(attempt, earlier)
    async with _leased(attempt):
        try:
            response = await _answer(request, answer)
        except BaseException:
            await _release(attempt)
            raise
    if response.status_code in _NOT_KEPT or response.status_code >= 500:
        await _release(attempt)
    else:
        await _keep(attempt, response)
    return response


async def _answer(request: Request, answer: Answering) -> Response:
    """Errors that are answers are answers like others here: they are kept as well."""
    try:
        return await answer()
    except Exception as error:
        expected = answer_to(request, error)
        if expected is None:
            raise
        return expected


async def _take(attempt: _Attempt) -> RowMapping | None:
    services = attempt.services
    now = services.now()
    values = {
        "key_hash": attempt.key_hash,
        "api_key_id": attempt.caller.key_id,
        "body_hash": attempt.body_hash,
        "request_id": attempt.request_id,
        "expires_at": now + LEASE,
    }
    async with services.db.write_as(attempt.caller.tenant) as connection:
        return await store.take(connection, attempt.caller.tenant, values, now=now)


def _replay(attempt: _Attempt, earlier: RowMapping) -> Response:
    """Raises ApiError 409."""
    if earlier["body_hash"] != attempt.body_hash:
        raise conflict(f"this {HEADER} was used for a request with another body")
    if earlier["status"] is None:
        message = f"a request with this {HEADER} is being answered"
        raise ApiError(409, message, headers={"Retry-After": "1"})
    if attempt.secret and earlier["api_key_id"] != attempt.caller.key_id:
        raise conflict(f"this {HEADER} was used with another API key, to which the answer was shown")
    packed = attempt.services.keyring.decrypt(earlier["answer_encrypted"], attempt.key_hash)
    kept = json.loads(zlib.decompress(packed))
    body = kept["body"]
    if earlier["status"] >= 400:  # by its id an error is found in the log, and this one is in there as well
        error = json.loads(body)
        error["error"]["request_id"] = attempt.request_id
        body = json.dumps(error, ensure_ascii=False, separators=(",", ":"))
    response = Response(body.encode(), earlier["status"])
    for name, value in kept["headers"]:
        response.headers.append(name, value)
    response.headers["Idempotency-Replayed"] = "true"
    return response


async def _keep(attempt: _Attempt, response: Response) -> None:
    services = attempt.services
    headers = [each for each in response.headers.items() if each[0] != "content-length"]
    kept = json.dumps({"headers": headers, "body": bytes(response.body).decode()}).encode()
    values = {
        "status": response.status_code,
        "answer_encrypted": services.keyring.encrypt(zlib.compress(kept, level=1), attempt.key_hash),
        "expires_at": services.now() + (SECRETS_KEPT_FOR if attempt.secret else KEPT_FOR),
    }
    try:
        async with services.db.write_as(attempt.caller.tenant) as connection:
            await store.change(
                connection, attempt.caller.tenant, attempt.key_hash, attempt.request_id, values
            )
    except _NOT_WRITTEN as error:
        _log.warning("answer not kept", **describe_exception(error))


async def _release(attempt: _Attempt) -> None:
    try:
        async with attempt.services.db.write_as(attempt.caller.tenant) as connection:
            await store.release(connection, attempt.caller.tenant, attempt.key_hash, attempt.request_id)
    except _NOT_WRITTEN as error:
        _log.warning("idempotency key not released", **describe_exception(error))  # its lease runs out


@asynccontextmanager
async def _leased(attempt: _Attempt) -> AsyncIterator[None]:
    renewing = asyncio.create_task(_renew(attempt))
    try:
        yield
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing


async def _renew(attempt: _Attempt) -> None:
    while True:
        await asyncio.sleep(_RENEWED_EVERY.total_seconds())
        values = {"expires_at": attempt.services.now() + LEASE}
        try:
            async with attempt.services.db.write_as(attempt.caller.tenant) as connection:
                await store.change(
                    connection, attempt.caller.tenant, attempt.key_hash, attempt.request_id, values
                )
        except _NOT_WRITTEN as error:
            _log.warning("idempotency key not renewed", **describe_exception(error))
