"""Checks of what Microsoft's pages say of calendars; importing this notes them all, in order."""

from __future__ import annotations

from . import delta, events, properties, series, subscriptions
from .kit import CHECKS, Graph

__all__ = ["CHECKS", "Graph", "delta", "events", "properties", "series", "subscriptions"]
