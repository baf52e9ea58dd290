"""Fixtures that every test may use."""

from __future__ import annotations

from tests.testbed.fixtures import radicale, xandikos

__all__ = ["radicale", "xandikos"]
