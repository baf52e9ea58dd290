"""A behavioural model of the Google Calendar API v3; README.md says what it stands on."""

from .channels import Channel, Notice
from .faults import Fault
from .model import DEFAULT_EMAIL, DEFAULT_TOKEN, Account, Model, running
from .server import serve
from .state import Mail, Seen

__all__ = [
    "DEFAULT_EMAIL",
    "DEFAULT_TOKEN",
    "Account",
    "Channel",
    "Fault",
    "Mail",
    "Model",
    "Notice",
    "Seen",
    "running",
    "serve",
]
