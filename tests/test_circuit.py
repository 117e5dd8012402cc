"""A circuit asks as long as it is answered, and goes on without when it is not."""

import asyncio
import logging

import pytest

from gateway.circuit import AT_ONCE, LOG_EVERY, PAUSE, Circuit

PATIENT = 600.0  # seconds that no test takes


class Lost(Exception):  # noqa: N818 - what a client raises
    """The server's client says that it does not answer."""


class Server:
    """Answers, or fails as it is told to, and counts how often it is asked, and by how many at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.fails: Exception | None = None
        self.asked = 0
        self.at_once = 0
        self.most_at_once = 0
        self.holds: asyncio.Event | None = None
        self.full = asyncio.Event()

    def clock(self) -> float:
        return self.now

    async def answer(self) -> str:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.at_once == AT_ONCE:
            self.full.set()
        try:
            if self.holds is not None:
                await self.holds.wait()
            if self.fails is not None:
                raise self.fails
        finally:
            self.at_once -= 1
        return "yes"


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def circuit(server: Server) -> Circuit:
    return Circuit("the server", (Lost,), server.clock, deadline=PATIENT)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "gateway.circuit"]


async def test_an_answer_is_passed_on(server: Server, circuit: Circuit) -> None:
    assert [await circuit.ask(server.answer) for _ in range(3)] == ["yes"] * 3


@pytest.mark.parametrize("failure", [Lost(), ConnectionRefusedError(), TimeoutError()])
async def test_after_a_failure_nobody_asks_for_a_while_and_then_one_does(
    server: Server, circuit: Circuit, failure: Exception
) -> None:
    server.fails = failure
    assert [await circuit.ask(server.answer) for _ in range(50)] == [None] * 50
    assert server.asked == 1

    server.now += PAUSE - 0.1
    assert await circuit.ask(server.answer) is None
    assert server.asked == 1

    server.now += 0.1
    assert [await circuit.ask(server.answer) for _ in range(50)] == [None] * 50
    assert server.asked == 2

    server.now, server.fails = server.now + PAUSE, None
    assert [await circuit.ask(server.answer) for _ in range(50)] == ["yes"] * 50


async def test_while_one_asks_after_a_pause_the_others_do_not_wait_for_it(server: Server, circuit: Circuit) -> None:
    server.fails = Lost()
    await circuit.ask(server.answer)
    server.now, server.fails, server.holds = server.now + PAUSE, None, asyncio.Event()
    asking = asyncio.create_task(circuit.ask(server.answer))
    await asyncio.sleep(0)
    assert server.at_once == 1
    assert [await circuit.ask(server.answer) for _ in range(50)] == [None] * 50
    server.holds.set()
    assert await asking == "yes"
    assert await circuit.ask(server.answer) == "yes"


async def test_silence_is_a_failure_after_the_deadline(server: Server) -> None:
    circuit = Circuit("the server", (Lost,), server.clock, deadline=0.01)
    server.holds = asyncio.Event()
    assert [await circuit.ask(server.answer) for _ in range(3)] == [None] * 3
    assert (server.asked, server.at_once) == (1, 0)


async def test_a_burst_takes_turns_and_all_of_it_is_answered(server: Server, circuit: Circuit) -> None:
    server.holds = asyncio.Event()
    asking = [asyncio.create_task(circuit.ask(server.answer)) for _ in range(10 * AT_ONCE)]
    await server.full.wait()
    server.holds.set()
    assert await asyncio.gather(*asking) == ["yes"] * 10 * AT_ONCE
    assert server.most_at_once == AT_ONCE


async def test_those_who_wait_for_their_turn_when_it_fails_do_not_ask_any_more(
    server: Server, circuit: Circuit
) -> None:
    server.holds, server.fails = asyncio.Event(), Lost()
    asking = [asyncio.create_task(circuit.ask(server.answer)) for _ in range(10 * AT_ONCE)]
    await server.full.wait()
    server.holds.set()
    assert await asyncio.gather(*asking) == [None] * 10 * AT_ONCE
    assert server.asked == AT_ONCE


async def test_a_bug_is_no_outage(server: Server, circuit: Circuit) -> None:
    server.fails = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await circuit.ask(server.answer)
    server.fails = None
    assert await circuit.ask(server.answer) == "yes"


async def test_an_outage_is_told_once_in_a_while_by_the_class_of_what_failed_and_so_is_its_end(
    server: Server, circuit: Circuit, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server.fails = Lost("redis://:hunter2@127.0.0.1")
    end = server.now + LOG_EVERY + PAUSE
    while server.now < end:
        await circuit.ask(server.answer)
        await circuit.ask(server.answer)
        server.now += PAUSE
    server.fails = None
    await circuit.ask(server.answer)
    await circuit.ask(server.answer)
    told = round(2 * (LOG_EVERY + PAUSE) / PAUSE)
    assert lines(caplog) == [
        "the server does not answer: Lost",
        "the server does not answer: Lost",
        f"the server answers again: {told} calls went on without it",
    ]


async def test_the_cause_of_a_failure_is_told_where_there_is_one(
    server: Server, circuit: Circuit, caplog: pytest.LogCaptureFixture
) -> None:
    server.fails = Lost()
    server.fails.__cause__ = ConnectionRefusedError()
    await circuit.ask(server.answer)
    assert lines(caplog) == ["the server does not answer: ConnectionRefusedError"]


async def test_silence_is_told_as_such(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.holds = asyncio.Event()
    await Circuit("the server", (Lost,), server.clock, deadline=0.01).ask(server.answer)
    assert lines(caplog) == ["the server does not answer: TimeoutError"]


async def test_who_gives_up_waiting_leaves_the_way_free(server: Server, circuit: Circuit) -> None:
    server.holds = asyncio.Event()
    asking = [asyncio.create_task(circuit.ask(server.answer)) for _ in range(2 * AT_ONCE)]
    await server.full.wait()
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    server.holds = None
    assert await circuit.ask(server.answer) == "yes"
