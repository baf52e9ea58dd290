"""What all answers have in common."""

from __future__ import annotations

from pydantic import BaseModel


class Model(BaseModel, frozen=True, extra="ignore"):
    """What all answers have in common. Checkers of types want to be told of `frozen` at each of them."""


class Problem(Model, frozen=True):
    """Why something does not work: a code, and words for people."""

    code: str
    message: str
