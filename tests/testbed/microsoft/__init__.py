"""A behavioural model of the calendars of Microsoft Graph v1.0, with its state in memory. See README.md."""

from __future__ import annotations

from .faults import Fault, Faults
from .habits import Habits
from .model import Account, Model, serve
from .state import Mail, Seen

__all__ = ["Account", "Fault", "Faults", "Habits", "Mail", "Model", "Seen", "serve"]
