"""Which errors mean that the server is not there, and how to say so without its address."""

from __future__ import annotations

import os
import socket
import ssl

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_LOSSES = {
    "25P03": "it ended a transaction that had been idle for too long",
    "25P04": "it ended a transaction that took too long",
    "53300": "all its connections are taken",
    "57P01": "it was stopped, or ended the connection",
    "57P02": "it is recovering from a crash",
    "57P03": "it is starting or stopping",
    "57P05": "it ended a connection that had been idle for too long",
}
# The connection goes on; the same may succeed a moment later.
_DELAYS = {
    "40001": "other transactions were in the way",
    "40P01": "another transaction was in the way",
    "55P03": "a lock was not to be had in time",
    "57014": "a statement took too long",
}
_REFUSALS = _LOSSES | {
    "28000": "it refuses the user name or the way of the connection",
    "28P01": "it refuses the user name or the password",
    "3D000": "it has no database of that name",
    "42501": "the user name has no permission to connect",
    "42704": "it does not know an option of the address",
}
ASYNCPG_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_LOST = "the connection was lost"
_SILENT = "it did not answer in time"
_UNREACHABLE = "it cannot be reached"


def driver_error(error: BaseException | None) -> BaseException | None:
    """asyncpg's error below those of SQLAlchemy's layers."""
    if isinstance(error, DBAPIError):
        error = error.orig
    cause = error.__cause__ if error is not None else None
    return cause if isinstance(cause, ASYNCPG_ERRORS) else error


def reason_of_loss(error: BaseException | None) -> str | None:
    """Why a statement could not be executed, where that is because the server has gone away; else None."""
    if isinstance(error, asyncpg.PostgresError):
        if error.sqlstate in _LOSSES:
            return _LOSSES[error.sqlstate]
        return _LOST if (error.sqlstate or "").startswith("08") else None
    if isinstance(error, asyncpg.InterfaceError):
        return _LOST if "is closed" in str(error) else None
    if isinstance(error, asyncpg.InternalClientError):
        return _LOST  # what its protocol says of an answer that breaks off
    if isinstance(error, TimeoutError):
        return _SILENT
    return _LOST if isinstance(error, OSError) else None


def reason_of_delay(error: DBAPIError) -> str | None:
    """Why a transaction was not to be had at this moment; None where trying again is of no use."""
    cause = driver_error(error)
    return _DELAYS.get(cause.sqlstate or "") if isinstance(cause, asyncpg.PostgresError) else None


def reason_at_connect(error: Exception) -> str:
    """Why there is no connection."""
    if isinstance(error, PoolTimeout):
        return "all connections of this process are taken"
    cause = driver_error(error)
    if isinstance(cause, asyncpg.PostgresError):
        return _REFUSALS.get(cause.sqlstate or "", _UNREACHABLE)
    if isinstance(cause, OSError):
        return _network_reason(cause)
    return "its address is not one that can be used" if isinstance(cause, ValueError) else _UNREACHABLE


def _network_reason(error: OSError) -> str:
    """The error's own words would name the address."""
    if isinstance(error, TimeoutError):
        return _SILENT
    if isinstance(error, ssl.SSLError):
        return "no secure connection to it: its certificate or its TLS version is not accepted"
    if isinstance(error, socket.gaierror):
        return "its host name cannot be resolved"
    if error.errno:
        return f"{_UNREACHABLE} ({os.strerror(error.errno).lower()})"
    # asyncpg raises a bare one where sslmode asks for what the server does not have.
    return "it does not offer a secure connection" if isinstance(error, ConnectionError) else _UNREACHABLE
