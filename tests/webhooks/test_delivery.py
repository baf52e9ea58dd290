"""From the outbox to the receiver, and what becomes of what is not received."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from aiohttp import web
from sqlalchemy import delete

from calendarsync.jobs.deliveries import Pace
from calendarsync.jobs.outbox import Outbox
from calendarsync.jobs.wakeups import Wakeups
from calendarsync.store import tables
from calendarsync.store.outbox import EndpointDisabled
from calendarsync.store.pruning import delete_old
from calendarsync.store.tenancy import Tenant
from calendarsync.store.webhooks import seal, unseal
from calendarsync.webhooks import signing
from calendarsync.webhooks.retry import PATIENCE
from tests.webhooks.post import QUICKLY, Post, at_work, check_signatures
from tests.webhooks.receiver import Got, Receiver, receiver

ONCE = Pace(delays=(), lease=QUICKLY.lease)
NO_MORE_THAN = 1.0


def answering(status: int, text: str = "", **headers: str) -> object:
    async def behaviour(_: Got) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return behaviour


async def test_an_event_arrives_signed_and_as_it_was_written(post: Post) -> None:
    secret = signing.new_secret()
    async with receiver() as there, at_work(post.deliverer()):
        webhook_id = await post.endpoint(there.url, secret)
        await post.emit()
        await post.until_done()
    (got,) = there.taken
    check_signatures(got, secret)
    assert got.headers["content-type"] == "application/json"
    event = json.loads(got.body)
    (delivery,) = await post.deliveries(webhook_id)
    assert event == {
        "id": delivery.event_id,
        "type": "sync.failed",
        "created_at": delivery.created_at.isoformat().replace("+00:00", "Z"),
        "data": {"n": 0},
    }
    assert delivery.status == "succeeded"
    assert delivery.next_attempt_at is delivery.leased_until is delivery.response_encrypted is None
    (attempt,) = delivery.attempts
    assert (attempt["status_code"], attempt["error"]) == (204, None)
    assert 0 <= attempt["duration_ms"] < 10_000
    assert datetime.fromisoformat(attempt["at"]) >= delivery.created_at


async def test_both_secrets_sign_while_they_overlap(post: Post) -> None:
    old, new = signing.new_secret(), signing.new_secret()
    async with receiver() as there, at_work(post.deliverer()):
        webhook_id = await post.endpoint(there.url, new)
        sealed = seal(post.keyring, webhook_id, old)
        for until in (timedelta(hours=1), timedelta(seconds=-1)):
            await post.change(
                webhook_id, previous_secret_encrypted=sealed, previous_until=post.db.now() + until
            )
            await post.emit()
            await post.until_done()
    overlapping, after = there.taken
    check_signatures(overlapping, new)
    for header in ("x-calsync-signature-previous",):
        assert header in overlapping.headers
        assert header not in after.headers
    assert len(overlapping.headers["webhook-signature"].split()) == 2
    assert len(after.headers["webhook-signature"].split()) == 1


async def test_each_attempt_has_the_same_body_and_id_and_a_signature_of_its_own_time(post: Post) -> None:
    secret = signing.new_secret()
    answers = iter([500, 503, 404, 200])

    async def failing_at_first(_: Got) -> web.StreamResponse:
        return web.Response(status=next(answers), text="not today")

    async with receiver(failing_at_first) as there, at_work(post.deliverer()):
        webhook_id = await post.endpoint(there.url, secret)
        await post.emit()
        await post.until_done()
    assert len(there.got) == 4
    assert len({(got.event_id, got.body) for got in there.got}) == 1
    for got in there.got:
        check_signatures(got, secret)
    (delivery,) = await post.deliveries(webhook_id)
    assert [each["status_code"] for each in delivery.attempts] == [500, 503, 404, 200]
    assert [each["error"] for each in delivery.attempts] == ["status", "status", "status", None]
    assert unseal(post.keyring, delivery.id, delivery.response_encrypted) == "not today"
    assert (await post.row(webhook_id)).failing_since is None


@pytest.mark.parametrize(("status", "kept"), [(500, 2048), (200, 2048), (302, 2048)])
async def test_of_an_answer_two_kilobytes_are_kept(post: Post, status: int, kept: int) -> None:
    text = "x" * 1_000_000
    async with (
        receiver(answering(status, text, Location="/elsewhere")) as there,  # type: ignore[arg-type]
        at_work(post.deliverer(ONCE)),
    ):
        await post.endpoint(there.url)
        await post.emit()
        await post.until_done()
    (delivery,) = await post.deliveries()
    assert delivery.status == ("succeeded" if status == 200 else "failed")
    assert b"xxx" not in delivery.response_encrypted
    assert unseal(post.keyring, delivery.id, delivery.response_encrypted) == text[:kept]
    assert len(there.got) == 1, "a redirect is a failure, and not followed"


async def test_an_answer_that_is_compressed_is_an_answer(post: Post) -> None:
    async def compressed(_: Got) -> web.StreamResponse:
        answer = web.Response(text="y" * 5000)
        answer.headers["Content-Encoding"] = "br"
        return answer

    async with receiver(compressed) as there, at_work(post.deliverer(ONCE)):
        await post.endpoint(there.url)
        await post.emit()
        await post.until_done()
    (delivery,) = await post.deliveries()
    assert (delivery.status, delivery.response_encrypted) == ("succeeded", None)


async def refused_as(post: Post, expected: dict[str, str]) -> None:
    """Each endpoint's one delivery failed in its one attempt, for the reason named beside it."""
    for webhook_id, error in expected.items():
        (delivery,) = await post.deliveries(webhook_id)
        (attempt,) = delivery.attempts
        assert (attempt["error"], attempt["status_code"]) == (error, None)
        assert delivery.status == "failed"
        assert (await post.row(webhook_id)).failing_since is not None


async def test_errors_are_told_in_our_words(post: Post) -> None:
    async def garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reader.read(10)
        writer.write(b"canary-of-a-receiver\r\n\r\n")
        writer.close()

    closed = Receiver()
    await closed.start()
    await closed.stop()
    babbling = await asyncio.start_server(garbage, "127.0.0.1")
    port = babbling.sockets[0].getsockname()[1]
    async with at_work(post.deliverer(ONCE)):
        expected = {
            await post.endpoint(closed.url): "connection_failed",
            await post.endpoint("http://192.0.2.1/hook"): "address_refused",
            await post.endpoint("https://169.254.169.254/latest/"): "address_refused",
            await post.endpoint(f"https://127.0.0.1:{port}/"): "tls_failed",
            await post.endpoint(f"http://127.0.0.1:{port}/"): "bad_answer",
            await post.endpoint("http://127.0.0.1:1/", secret_encrypted=b"broken"): "unreadable_secret",
        }
        await post.emit()
        await post.until_done()
    babbling.close()
    await refused_as(post, expected)


async def test_a_receiver_that_never_answers_has_timed_out(post: Post) -> None:
    async def hang(_: Got) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async with receiver(hang) as slow, at_work(post.deliverer(ONCE, timeout=0.3)):
        expected = {await post.endpoint(slow.url): "timeout"}
        await post.emit()
        await post.until_done()
    await refused_as(post, expected)


async def test_after_the_last_retry_a_delivery_has_failed(post: Post) -> None:
    pace = Pace(delays=(timedelta(seconds=0.01),) * 2, lease=QUICKLY.lease)
    async with receiver(answering(500)) as there, at_work(post.deliverer(pace)):  # type: ignore[arg-type]
        webhook_id = await post.endpoint(there.url)
        await post.emit()
        await post.until_done()
    (delivery,) = await post.deliveries(webhook_id)
    assert (delivery.status, len(delivery.attempts), len(there.got)) == ("failed", 3, 3)
    assert (await post.row(webhook_id)).status == "enabled"


async def test_a_receiver_that_asks_for_time_gets_it(post: Post) -> None:
    async with (
        receiver(answering(429, **{"Retry-After": "3600"})) as there,  # type: ignore[arg-type]
        at_work(post.deliverer()),
    ):
        await post.endpoint(there.url)
        await post.emit()
        await there.until_got(1)
        await asyncio.sleep(0.3)
    (delivery,) = await post.deliveries()
    assert len(there.got) == 1
    assert timedelta(minutes=59) < delivery.next_attempt_at - post.db.now() < timedelta(minutes=67)


async def test_gone_disables_the_endpoint_and_ends_what_is_pending(post: Post) -> None:
    log = io.StringIO()
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(log), processors=[structlog.processors.JSONRenderer()]
    )
    try:
        async with receiver(answering(410)) as there, at_work(post.deliverer()):  # type: ignore[arg-type]
            webhook_id = await post.endpoint(there.url)
            await post.emit(2_500)
            await post.until_done()
    finally:
        structlog.reset_defaults()
    row = await post.row(webhook_id)
    assert (row.status, row.disabled_reason) == ("disabled", "gone")
    assert row.disabled_at is not None
    assert len(there.got) <= 4
    assert await post.count("canceled") == 2_500 - len(there.got)
    told = [json.loads(line) for line in log.getvalue().splitlines() if "webhook_disabled" in line]
    assert [(each["webhook_id"], each["account_id"], each["reason"]) for each in told] == [
        (webhook_id, post.account, "gone")
    ]
    await post.emit()
    assert await post.count("pending") == 0, "nothing is written for an endpoint that is disabled"


@pytest.mark.parametrize(
    ("since", "disabled"), [(PATIENCE, True), (PATIENCE - timedelta(minutes=1), False), (None, False)]
)
async def test_five_days_of_nothing_but_failure_disable_an_endpoint(
    post: Post, since: timedelta | None, disabled: bool
) -> None:
    async with receiver(answering(500)) as there, at_work(post.deliverer(ONCE)):  # type: ignore[arg-type]
        webhook_id = await post.endpoint(there.url, failing_since=since and post.db.now() - since)
        await post.emit()
        await post.until_done()
    row = await post.row(webhook_id)
    assert (row.status, row.disabled_reason) == (("disabled", "failing") if disabled else ("enabled", None))


async def test_what_is_pending_at_an_endpoint_that_its_owner_disables_ends(post: Post) -> None:
    webhook_id = await post.endpoint("http://127.0.0.1:1/")
    await post.emit(3)
    await post.change(webhook_id, status="disabled")
    async with at_work(post.deliverer()):
        await post.until_done()
    assert [each.status for each in await post.deliveries()] == ["canceled"] * 3


async def test_an_endpoint_may_be_deleted_while_something_is_under_way_to_it(post: Post) -> None:
    release = asyncio.Event()

    async def hold(_: Got) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with receiver(hold) as there, receiver() as other, at_work(post.deliverer()):
        webhook_id = await post.endpoint(there.url)
        await post.emit(6)
        await there.until_got(4)
        async with post.db.write() as db:
            await db.execute(delete(tables.webhooks).where(tables.webhooks.c.id == webhook_id))
        release.set()
        await post.endpoint(other.url)
        await post.emit()
        await other.until_taken(1)
        await post.until_done()
    assert len(there.got) == 4


async def test_a_test_event_and_a_redelivery(post: Post) -> None:
    outbox = Outbox(post.db, Wakeups(post.db))
    async with receiver() as there, at_work(post.deliverer()):
        webhook_id = await post.endpoint(there.url, events=[])
        first = await outbox.test(post.tenant, webhook_id)
        await post.until_done()
        again = await outbox.redeliver(post.tenant, webhook_id, first)
        await post.until_done()
    assert [json.loads(got.body)["type"] for got in there.taken] == ["webhook.test"] * 2
    assert len({(got.event_id, got.body) for got in there.taken}) == 1
    rows = await post.deliveries(webhook_id)
    assert [row.id for row in rows] == [first, again]
    for stranger in (Tenant(post.account, "test"), Tenant("acct_other", "live")):
        with pytest.raises(LookupError):
            await outbox.test(stranger, webhook_id)
        with pytest.raises(LookupError):
            await outbox.redeliver(stranger, webhook_id, first)
    with pytest.raises(LookupError):
        await outbox.redeliver(post.tenant, webhook_id, "dlv_none")
    with pytest.raises(LookupError):
        await outbox.redeliver(post.tenant, await post.endpoint(there.url), first)
    await post.change(webhook_id, status="disabled")
    with pytest.raises(EndpointDisabled):
        await outbox.test(post.tenant, webhook_id)
    with pytest.raises(EndpointDisabled):
        await outbox.redeliver(post.tenant, webhook_id, first)
    assert len(await post.deliveries()) == 2


async def test_old_events_are_forgotten_a_part_at_a_time(post: Post) -> None:
    await post.endpoint("http://127.0.0.1:1/")
    await post.emit(5)
    between = post.db.now()
    await post.emit(1)
    async with post.db.write() as db:
        assert [await delete_old(db, tables.webhook_events.c.created_at, between, 3) for _ in range(3)] == [
            3,
            2,
            0,
        ]
    assert len(await post.deliveries()) == 1


async def test_receivers_that_hang_hold_up_no_other(post: Post) -> None:
    """Everything for the others arrives while what was sent before it still hangs."""
    release = asyncio.Event()

    async def hang(_: Got) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with AsyncExitStack() as stack:
        hanging = [await stack.enter_async_context(receiver(hang)) for _ in range(5)]
        others = [await stack.enter_async_context(receiver()) for _ in range(5)]
        for there in hanging:
            await post.endpoint(there.url)
        await post.emit(200)
        await stack.enter_async_context(at_work(post.deliverer(Pace(), timeout=60)))
        for there in hanging:
            await there.until_got(4)
        for there in others:
            await post.endpoint(there.url, events=["sync.completed"])
        await post.emit(20, type="sync.completed")
        for there in others:
            await there.until_taken(20)
        # At an idle endpoint an event is under way within the time that a worker may take to look.
        before = asyncio.get_running_loop().time()
        await post.emit(type="sync.completed")
        await others[0].until_taken(21)
        assert asyncio.get_running_loop().time() - before < NO_MORE_THAN + 1.0
        assert [there.waiting for there in hanging] == [4] * 5, "four at a time, and they hang still"
        release.set()


async def test_two_processes_together_send_four_at_a_time_to_one_endpoint(post: Post) -> None:
    async def slow(_: Got) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        return web.Response()

    async with receiver(slow) as there, at_work(post.deliverer()), at_work(post.deliverer()):
        await post.endpoint(there.url)
        await post.emit(60)
        await post.until_done()
    assert there.most_waiting == 4
    assert len(there.taken) == 60, "none came twice"


async def test_a_process_that_wakes_up_late_finishes_nothing(post: Post) -> None:
    frozen = asyncio.Event()
    first = True

    async def freeze_once(_: Got) -> web.StreamResponse:
        nonlocal first
        if first:
            first = False
            await frozen.wait()
            return web.Response(status=500, text="too late")
        return web.Response()

    async with receiver(freeze_once) as there, at_work(post.deliverer()) as late:
        await post.endpoint(there.url)
        await post.emit()
        await there.until_got(1)
        async with at_work(post.deliverer()):
            await post.until_done()
        frozen.set()
        async with asyncio.timeout(5):
            while late._under_way:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
    (delivery,) = await post.deliveries()
    assert (delivery.status, len(delivery.attempts)) == ("succeeded", 1)
    assert len({got.event_id for got in there.got}) == 1


async def test_a_stop_finishes_what_is_under_way_or_gives_it_back(post: Post) -> None:
    release = asyncio.Event()

    async def hold(_: Got) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    async with receiver(hold) as there:
        await post.endpoint(there.url)
        await post.emit(2)
        stopped, patient = post.deliverer(Pace()), post.deliverer(Pace())
        await stopped.look()
        await there.until_got(2)
        await stopped.drain(0.05)
        await stopped.give_back_all()
        assert [each.leased_until for each in await post.deliveries()] == [None, None]
        await patient.look()
        await there.until_got(4)
        asyncio.get_running_loop().call_later(0.1, release.set)
        await patient.drain(10)
        assert [each.status for each in await post.deliveries()] == ["succeeded"] * 2
        await patient.look()
        await patient.give_back_all()
    assert {each.next_attempt_at for each in await post.deliveries()} == {None}
    assert datetime.now(UTC) > (await post.deliveries())[0].created_at
