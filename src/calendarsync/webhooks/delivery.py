"""One attempt to deliver an event: signed, sent, and judged by its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from calendarsync.net import (
    AddressRefused,
    CertificateInvalid,
    ConnectFailed,
    HttpClient,
    InvalidUrl,
    NetError,
    Timeout,
    retry_after_seconds,
)
from calendarsync.secrets import Keyring, SecretError
from calendarsync.store.deliveries import Delivery
from calendarsync.store.webhooks import unseal
from calendarsync.webhooks import signing
from calendarsync.webhooks.addresses import confined
from calendarsync.webhooks.catalogue import instant
from calendarsync.webhooks.formats import body_of
from calendarsync.webhooks.retry import Answer

TIMEOUT_SECONDS = 15.0
KEPT_BYTES = 2048
"""How much of an answer is kept."""

_TLS = frozenset({"tls_failed"})


@dataclass(frozen=True, slots=True)
class Sender:
    keyring: Keyring
    http: HttpClient
    now: Callable[[], datetime]
    timeout_seconds: float = TIMEOUT_SECONDS

    async def send(self, delivery: Delivery) -> Answer:
        """Make one attempt. Whatever goes wrong is an Answer with one of these errors:

        `status` (answered, but not 2xx: a redirect too), `timeout`, `address_refused`, `tls_failed`,
        `connection_failed`, `bad_answer`, `unreadable_secret`.
        """
        try:
            url = unseal(self.keyring, delivery.webhook_id, delivery.url_encrypted)
            secrets = self._secrets(delivery)
        except SecretError:
            return Answer(error="unreadable_secret")
        body = body_of(delivery.format, _event(delivery))
        timestamp = int(self.now().timestamp())
        headers = signing.headers(secrets, delivery.event_id, timestamp, body)
        try:
            response = await self.http.request(
                "POST",
                url,
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity", **headers},
                body=body,
                max_bytes=KEPT_BYTES,
                timeout_seconds=self.timeout_seconds,
                follow_redirects=False,
                confined=confined(url, delivery.mode),
                beginning_only=True,
            )
        except NetError as error:
            return Answer(error=_code(error))
        return Answer(
            status=response.status,
            error=None if 200 <= response.status < 300 else "status",
            retry_after=retry_after_seconds(response.headers, self.now()),
            body=response.body,
        )

    def _secrets(self, delivery: Delivery) -> list[str]:
        """The current one, and the previous while they overlap."""
        sealed = [delivery.secret_encrypted]
        if delivery.previous_secret_encrypted is not None and self.now() < (
            delivery.previous_until or self.now()
        ):
            sealed.append(delivery.previous_secret_encrypted)
        return [unseal(self.keyring, delivery.webhook_id, each) for each in sealed]


def _event(delivery: Delivery) -> dict[str, object]:
    return {
        "id": delivery.event_id,
        "type": delivery.type,
        "created_at": instant(delivery.created_at),
        "data": delivery.data,
    }


def _code(error: NetError) -> str:
    match error:
        case Timeout():
            return "timeout"
        case AddressRefused() | InvalidUrl():
            return "address_refused"
        case CertificateInvalid():
            return "tls_failed"
        case ConnectFailed():
            return "tls_failed" if error.code in _TLS else "connection_failed"
    return "bad_answer"
