"""Where deliveries go. Addresses are as `net.parse_url` writes them."""

from __future__ import annotations

from urllib.parse import urlsplit

from calendarsync.webhooks.formats import SLACK


def confined(url: str, mode: str) -> bool:
    """Whether a delivery may only go to ALLOWED_PRIVATE_NETWORKS: in test mode, and over plain http."""
    return mode == "test" or not url.startswith("https://")


def shown(url: str, format: str) -> str:  # noqa: A002 - the name of the field in the API
    """What is shown of an address: a Slack webhook's path is a secret, with which anybody may post."""
    if format != SLACK:
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"
