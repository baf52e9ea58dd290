"""Notification channels: watch, stop, and the POSTs that tell of changes (guide "Push notifications").

The first message is `sync`; then each change of the calendar sends `exists`, with a growing message number, no body
and no word of what changed, until the channel expires or is stopped. An answer of 500, 502, 503 or 504 is tried
again with growing waits; any other one is final.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import urlsplit

import aiohttp

from . import errors
from .calls import Answer, Call
from .errors import ApiError, invalid
from .state import Calendar, World

_DEFAULT_LIFE = timedelta(days=7)  # events.watch: `ttl` is 604800 seconds by default
_LONGEST_LIFE = timedelta(days=30)  # assumed: "the service limits it"
_AGAIN = (500, 502, 503, 504)
_WAITS = (0.2, 0.4, 0.8)  # seconds; Google's own are longer
_SECONDS = 10
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass
class Channel:
    id: str
    resource_id: str
    calendar_id: str
    email: str
    address: str
    token: str | None
    expires_at: datetime
    number: int = 0
    greeted: asyncio.Event = field(default_factory=asyncio.Event)  # set once `sync` was sent


@dataclass(frozen=True)
class Notice:
    """A POST to a channel's address. Times are `time.monotonic()`; `status` is None where nobody answered."""

    channel_id: str
    calendar_id: str
    state: str
    number: int
    sent_at: float
    answered_at: float
    status: int | None


@dataclass
class Channels:
    world: World
    notices: list[Notice] = field(default_factory=list)
    open: dict[str, Channel] = field(default_factory=dict)
    lost: int = 0  # so many notices are not sent; Google warns that some never arrive
    _loop: asyncio.AbstractEventLoop | None = None
    _session: aiohttp.ClientSession | None = None
    _sending: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._used: set[str] = set()
        self.world.watchers.append(self._changed)

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)

    async def close(self) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def forget(self) -> None:
        """Drop all channels, and what was sent."""
        self.open.clear()
        self.notices.clear()
        self.lost = 0

    def watch(self, call: Call) -> Answer:
        calendar = call.calendar()
        given = call.given()
        channel = Channel(
            _channel_id(given.get("id")),
            f"r{calendar.epoch}{calendar.id.encode().hex()[:20]}",
            calendar.id,
            call.user.email,
            _address(given.get("type"), given.get("address")),
            given.get("token"),
            self._expiry(given),
        )
        if channel.id in self._used:
            raise ApiError(400, "channelIdNotUnique", f"Channel id {channel.id} not unique")
        if len(channel.token or "") > 256:
            raise invalid("The channel token is too long.", "token")
        self._used.add(channel.id)
        self.open[channel.id] = channel
        self._tell(channel, "sync")
        return Answer(200, _body(channel))

    def _expiry(self, given: dict[str, object]) -> datetime:
        now = self.world.now()
        params = given.get("params")
        life = _DEFAULT_LIFE
        if isinstance(params, dict) and "ttl" in params:
            life = timedelta(seconds=int(params["ttl"]))
        if given.get("expiration") is not None:
            life = datetime.fromtimestamp(int(str(given["expiration"])) / 1000, UTC) - now
        if life <= timedelta(0):
            raise invalid("The channel would be expired.", "expiration")
        return now + min(life, _LONGEST_LIFE)

    def stop(self, call: Call) -> Answer:
        given = call.given()
        found = self.open.get(given.get("id", ""))
        if found is None or found.resource_id != given.get("resourceId") or found.email != call.user.email:
            raise ApiError(404, "notFound", f"Channel '{given.get('id')}' not found for project")
        del self.open[found.id]
        return Answer(204)

    def _changed(self, calendar: Calendar) -> None:
        for channel in list(self.open.values()):
            if channel.expires_at <= self.world.now():
                del self.open[channel.id]
            elif channel.calendar_id == calendar.id:
                self._tell(channel, "exists")

    def _tell(self, channel: Channel, state: str) -> None:
        """Send a message as soon as the loop is free: changes may come from a test's thread."""
        channel.number += 1
        if state != "sync" and self.lost > 0:
            self.lost -= 1
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(self._start_sending, channel, state, channel.number)

    def _start_sending(self, channel: Channel, state: str, number: int) -> None:
        task = asyncio.get_running_loop().create_task(self._send(channel, state, number))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, channel: Channel, state: str, number: int) -> None:
        if state != "sync":
            await channel.greeted.wait()
        for wait in (*_WAITS, None):
            began = time.monotonic()
            status = await self._post(channel, state, number)
            channel.greeted.set()
            ended = time.monotonic()
            self.notices.append(Notice(channel.id, channel.calendar_id, state, number, began, ended, status))
            if status not in _AGAIN or wait is None:
                return
            await asyncio.sleep(wait)

    async def _post(self, channel: Channel, state: str, number: int) -> int | None:
        assert self._session is not None
        headers = {
            "X-Goog-Channel-ID": channel.id,
            "X-Goog-Channel-Expiration": format_datetime(channel.expires_at, usegmt=True),
            "X-Goog-Message-Number": str(number),
            "X-Goog-Resource-ID": channel.resource_id,
            "X-Goog-Resource-State": state,
            "X-Goog-Resource-URI": _uri(channel),
            "User-Agent": "APIs-Google",
        }
        if channel.token is not None:
            headers["X-Goog-Channel-Token"] = channel.token
        try:
            async with self._session.post(channel.address, headers=headers) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return None


def _channel_id(given: object) -> str:
    if not isinstance(given, str) or not given:
        raise errors.required("Missing channel id.")
    if len(given) > 64 or not all(each.isalnum() or each in "-_+/=" for each in given):
        raise invalid("Invalid channel id.", "id")
    return given


def _address(kind: object, given: object) -> str:
    """Google takes https alone; for tests, http on loopback is fine."""
    if kind not in ("web_hook", "webhook"):
        raise ApiError(400, "push.channelTypeNotSupported", "Channel type not supported")
    address = str(given or "")
    url = urlsplit(address)
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _LOOPBACK):
        raise ApiError(400, "push.webhookUrlNotHttps", f"WebHook callback must be HTTPS: {address}")
    return address


def _uri(channel: Channel) -> str:
    return f"https://www.googleapis.com/calendar/v3/calendars/{channel.calendar_id}/events?alt=json"


def _body(channel: Channel) -> dict[str, str]:
    body = {
        "kind": "api#channel",
        "id": channel.id,
        "resourceId": channel.resource_id,
        "resourceUri": _uri(channel),
        "expiration": str(int(channel.expires_at.timestamp() * 1000)),
    }
    return body if channel.token is None else {**body, "token": channel.token}
