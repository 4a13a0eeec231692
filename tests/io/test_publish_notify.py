"""NOTIFY to a consumer on loopback: what is sent, how often, and what is learnt from the reply."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.tsig
import pytest

from dnswatch.core.feeds.tsig import Key
from dnswatch.io.publish import notify
from dnswatch.io.publish.notify import Notifier, Target

ZONE = "any.rpz.test.invalid"
KEY = Key("k1", "hmac-sha256", b"1" * 32)
RING = {dns.name.from_text("k1"): dns.tsig.Key("k1", KEY.secret, "hmac-sha256")}


class Resolver(asyncio.DatagramProtocol):
    """Takes NOTIFY and answers as told."""

    def __init__(self) -> None:
        self.got: list[dns.message.Message] = []
        self.rcode: dns.rcode.Rcode | None = dns.rcode.NOERROR  # None: silent
        self.signs = True

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        message = dns.message.from_wire(data, keyring=RING)
        self.got.append(message)
        if self.rcode is not None:
            reply = dns.message.make_response(message)
            reply.set_rcode(self.rcode)
            if not self.signs:
                reply.tsig = None
                reply.keyring = None
            self.transport.sendto(reply.to_wire(), addr)


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Resolver, local_addr=("127.0.0.1", 0)
    )
    yield protocol
    transport.close()


@pytest.fixture
async def notifier(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Notifier]:
    """A notifier that waits for a reply for as long as it takes; between two versions 1/20 of the usual time passes."""
    monkeypatch.setattr(notify, "WAITS_S", (300.0,))
    monkeypatch.setattr(notify, "APART_S", notify.APART_S / 20)
    made = Notifier()
    yield made
    await made.forget()


@pytest.fixture
def hasty(notifier: Notifier, monkeypatch: pytest.MonkeyPatch) -> None:
    """For those who get no reply: 1/20 of the usual times, instead of the patience of ``notifier``."""
    monkeypatch.setattr(notify, "WAITS_S", tuple(wait / 20 for wait in (1.0, 2.0, 4.0)))


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("key", [None, KEY])
async def test_a_new_serial_is_told_at_once(resolver: Resolver, notifier: Notifier, key: Key | None) -> None:
    """RFC 1996: opcode NOTIFY, AA, question SOA, our SOA as the answer; signed where the consumer has a key."""
    target = Target("ns1", "127.0.0.1", resolver.port, ZONE, key, "127.0.0.1")
    notifier.tell([target], 7)
    await until(lambda: target in notifier.told)
    [message] = resolver.got
    assert (message.opcode(), message.answer[0][0].serial) == (dns.opcode.NOTIFY, 7)
    assert message.flags & dns.flags.AA
    assert str(message.question[0].name) == ZONE + "."
    assert message.had_tsig == (key is not None)
    told = notifier.told[target]
    assert (told.serial, told.error) == (7, "")


@pytest.mark.usefixtures("hasty")
async def test_silence_is_asked_again_and_then_reported(
    resolver: Resolver, notifier: Notifier, caplog: pytest.LogCaptureFixture
) -> None:
    """After 1, 2 and 4 seconds; said once for a consumer, not once for every zone."""
    resolver.rcode = None
    targets = [Target("ns1", "127.0.0.1", resolver.port, zone) for zone in (ZONE, "b." + ZONE, "c." + ZONE)]
    with caplog.at_level(logging.WARNING):
        notifier.tell(targets, 7)
        await until(lambda: len(notifier.told) == 3)
    assert len(resolver.got) == 9
    assert len({message.id for message in resolver.got}) == 3
    assert all(one.error.startswith("no reply") and not one.serial for one in notifier.told.values())
    assert len(caplog.records) == 1
    resolver.rcode = dns.rcode.NOERROR
    notifier.tell(targets, 8)
    await until(lambda: all(one.serial == 8 for one in notifier.told.values()))
    assert not any(one.error for one in notifier.told.values())


@pytest.mark.parametrize(
    ("rcode", "said"), [(dns.rcode.REFUSED, "primaries or allow-notify"), (dns.rcode.NOTAUTH, "not configured")]
)
async def test_a_refusal_is_not_repeated_and_says_what_to_do(
    resolver: Resolver, notifier: Notifier, rcode: dns.rcode.Rcode, said: str
) -> None:
    """It is a matter of configuration over there."""
    resolver.rcode = rcode
    target = Target("ns1", "127.0.0.1", resolver.port, ZONE)
    notifier.tell([target], 7)
    await until(lambda: target in notifier.told)
    assert len(resolver.got) == 1
    assert said in notifier.told[target].error


async def test_a_reply_without_the_signature_is_no_acknowledgement(resolver: Resolver, notifier: Notifier) -> None:
    """Anybody could have sent it."""
    resolver.signs = False
    target = Target("ns1", "127.0.0.1", resolver.port, ZONE, KEY)
    notifier.tell([target], 7)
    await until(lambda: target in notifier.told)
    assert notifier.told[target].error == "its reply is not signed with the key"
    assert len(resolver.got) == 1


async def test_many_versions_in_a_row_are_told_as_one(
    resolver: Resolver, notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first at once, the last one after a pause; those between never."""
    monkeypatch.setattr(notify, "APART_S", 0.5)
    target = Target("ns1", "127.0.0.1", resolver.port, ZONE)
    for serial in range(1, 50):
        notifier.tell([target], serial)
        await asyncio.sleep(0)
    await until(lambda: target in notifier.told and notifier.told[target].serial == 49)
    assert len(resolver.got) <= 2


async def test_a_newer_version_ends_the_waiting_for_the_older(resolver: Resolver, notifier: Notifier) -> None:
    """A consumer that was down hears of the newest one first."""
    resolver.rcode = None
    target = Target("ns1", "127.0.0.1", resolver.port, ZONE)
    notifier.tell([target], 1)
    await until(lambda: resolver.got)
    notifier.tell([target], 2)
    resolver.rcode = dns.rcode.NOERROR
    await until(lambda: target in notifier.told)
    assert [message.answer[0][0].serial for message in resolver.got] == [1, 2]


@pytest.mark.usefixtures("hasty")
async def test_who_is_no_consumer_any_more_is_forgotten(resolver: Resolver, notifier: Notifier) -> None:
    """Also while a reply is awaited."""
    resolver.rcode = None
    gone, kept = (Target(name, "127.0.0.1", resolver.port, ZONE) for name in ("gone", "kept"))
    notifier.tell([gone, kept], 1)
    await until(lambda: len(resolver.got) >= 2)
    await notifier.forget(keep=[kept])
    await until(lambda: kept in notifier.told)
    assert set(notifier.told) == {kept}


async def test_who_was_forgotten_at_once_can_be_told_again(resolver: Resolver, notifier: Notifier) -> None:
    """A reload between a publication and its first packet silences nobody for ever."""
    target = Target("ns1", "127.0.0.1", resolver.port, ZONE)
    notifier.tell([target], 1)
    await notifier.forget()
    notifier.tell([target], 2)
    await until(lambda: target in notifier.told)
    assert [message.answer[0][0].serial for message in resolver.got] == [2]


@pytest.mark.usefixtures("hasty")
async def test_nobody_there_is_no_reply(notifier: Notifier) -> None:
    """A closed port answers with ICMP; the tries go on, for the resolver may just be restarting."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    target = Target("ns1", "127.0.0.1", number, ZONE)
    notifier.tell([target], 1)
    await until(lambda: target in notifier.told)
    assert notifier.told[target].error.startswith("no reply")
    assert notifier.sent == 3
