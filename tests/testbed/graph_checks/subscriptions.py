"""Subscriptions and their notifications, with a listener on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from .kit import Graph, Json, check, is_error


class Listener(BaseHTTPRequestHandler):
    """Takes notifications but for the first `refuse`; answers a validation as the server's `echo` says."""

    server: Listening

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"] or 0))
        token = parse_qs(urlsplit(self.path).query).get("validationToken")
        refused = not token and self.server.refuse > 0
        self.send_response(200 if token else 503 if refused else 202)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        if token:
            self.wfile.write(token[0].encode() if self.server.echo else b"no")
        elif refused:
            self.server.refuse -= 1
        else:
            self.server.notices += json.loads(content)["value"]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the base class names it so
        pass


class Listening(ThreadingHTTPServer):
    echo = True
    refuse = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Listener)
        self.notices: list[Json] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/notices?mine=1"

    def wait(self, count: int) -> list[Json]:
        end = monotonic() + 30
        while len(self.notices) < count and monotonic() < end:
            sleep(0.01)
        return self.notices


@contextmanager
def listening() -> Iterator[Listening]:
    server = Listening()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def subscribe(graph: Graph, url: str, headers: Json | None = None, **more: Any) -> httpx.Response:
    body = {
        "changeType": "created,updated,deleted",
        "notificationUrl": url,
        "resource": f"me/calendars/{graph.calendar}/events",
        "expirationDateTime": f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        "clientState": "secret",
    }
    return graph.http.post("/subscriptions", json=body | more, headers=headers)


@check("change-notifications-delivery-webhooks", "who echoes the validation token is subscribed, and is told")
def _(graph: Graph) -> None:
    with listening() as server:
        made = subscribe(graph, server.url)
        assert made.status_code == 201, made.text
        created = graph.make()
        notice = server.wait(1)[0]
        assert (notice["subscriptionId"], notice["clientState"]) == (made.json()["id"], "secret")
        assert (notice["changeType"], notice["resourceData"]["id"]) == ("created", created["id"])
        assert graph.http.delete(f"/subscriptions/{made.json()['id']}").status_code == 204
        is_error(graph.get(f"/subscriptions/{made.json()['id']}"), 404)


@check("subscription-post-subscriptions", "who does not echo it is not: 400")
def _(graph: Graph) -> None:
    with listening() as server:
        server.echo = False
        is_error(subscribe(graph, server.url), 400)


@check("resources/subscription", "events can be subscribed to for 10,080 minutes, not longer")
def _(graph: Graph) -> None:
    late = f"{datetime.now(UTC) + timedelta(minutes=10_090):%Y-%m-%dT%H:%M:%SZ}"
    with listening() as server:
        is_error(subscribe(graph, server.url, expirationDateTime=late), 400)


@check("resources/subscription", "clientState has at most 128 characters; a notificationUrl is needed")
def _(graph: Graph) -> None:
    with listening() as server:
        is_error(subscribe(graph, server.url, clientState="x" * 129), 400)
        is_error(subscribe(graph, "ftp://example.com/"), 400)


@check("subscription-update", "PATCH renews it")
def _(graph: Graph) -> None:
    later = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"
    with listening() as server:
        made = subscribe(graph, server.url).json()
        renewed = graph.http.patch(f"/subscriptions/{made['id']}", json={"expirationDateTime": later})
        assert renewed.status_code == 200
        assert renewed.json()["expirationDateTime"][:19] == later[:19]
        graph.http.delete(f"/subscriptions/{made['id']}")


@check("subscription-list", "a list has one's own")
def _(graph: Graph) -> None:
    with listening() as server:
        made = subscribe(graph, server.url).json()
        assert made["id"] in {one["id"] for one in graph.get("/subscriptions").json()["value"]}
        graph.http.delete(f"/subscriptions/{made['id']}")


@check("subscription-post-subscriptions", "the same changes of the same resource twice: 409")
def _(graph: Graph) -> None:
    with listening() as server:
        made = subscribe(graph, server.url).json()
        is_error(subscribe(graph, server.url), 409)
        graph.http.delete(f"/subscriptions/{made['id']}")
