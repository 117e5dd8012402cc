"""A crash on purpose comes right after its step, and nowhere else."""

import pytest

from gateway.crashes import Crashing, crashing


class Part:
    """Something with steps."""

    name = "a part"

    def __init__(self) -> None:
        self.done: list[str] = []

    async def step(self, what: str, *, fails: bool = False) -> str:
        if fails:
            raise ValueError(what)
        self.done.append(what)
        return what

    def close(self) -> str:
        return "closed"


class Died(BaseException):
    """In place of SIGKILL, which tests/crashes/ sends for real."""


def die() -> None:
    raise Died


async def test_a_part_dies_after_the_step_that_is_named_when_its_work_is_done() -> None:
    part = Part()
    doomed = Crashing(part, "part", "part.step:2", die=die)
    assert await doomed.step("first") == "first"
    with pytest.raises(Died):
        await doomed.step("second")
    assert part.done == ["first", "second"]
    assert await doomed.step("third") == "third"
    assert dict(doomed.calls) == {"step": 3}


async def test_a_part_dies_also_where_the_step_failed() -> None:
    doomed = Crashing(Part(), "part", "part.step:1", die=die)
    with pytest.raises(Died):
        await doomed.step("first", fails=True)


@pytest.mark.parametrize("crash_at", ["other.step:1", "part.close:1", "part.step:10"])
async def test_other_steps_kill_nobody(crash_at: str) -> None:
    doomed = Crashing(Part(), "part", crash_at, die=die)
    assert [await doomed.step("first"), doomed.close(), doomed.name] == ["first", "closed", "a part"]


def test_where_no_step_is_named_nothing_stands_between() -> None:
    part = Part()
    assert crashing(part, "part", None) is part
    assert isinstance(crashing(part, "part", "part.step:1"), Crashing)
