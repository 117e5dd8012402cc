"""Credentials are renewed in good time, nobody waits for it needlessly, and nothing is signed with dead ones."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import pytest
from botocore.credentials import Credentials as BotoCredentials
from botocore.credentials import DeferredRefreshableCredentials, RefreshableCredentials

from gateway.errors import Code, Refusal
from gateway.s3.credentials import CredentialSource, open_session
from gateway.s3.sigv4 import Credentials, lifetime

NOW = 1_795_000_000
MINUTE = 60
HOUR = 60 * MINUTE


@dataclass
class Role:
    """What an instance's role gives: a first set that lives `first` seconds, and then sets of an hour, or failure.

    `now` is botocore's clock here, too.
    """

    first: int
    now: int = NOW
    fails: bool = False
    asked: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    stays: bool = False  # the same token under a later expiry, as in an outage of the metadata service

    def __post_init__(self) -> None:
        self.gate.set()
        self.held = RefreshableCredentials(
            "AKIA0",
            "secret0",
            "token0",
            self._at(self.now + self.first),
            self._renew,
            "iam-role",
            time_fetcher=lambda: self._at(self.now),
        )

    def find(self) -> BotoCredentials:
        return self.held

    def _renew(self) -> dict[str, str]:
        self.asked += 1
        self.gate.wait(5)
        if self.fails:
            raise OSError
        number = 0 if self.stays else self.asked
        names = {"access_key": f"AKIA{number}", "secret_key": f"secret{number}", "token": f"token{number}"}
        return {**names, "expiry_time": self._at(self.now + HOUR).isoformat()}

    @staticmethod
    def _at(now: int) -> datetime:
        return datetime.fromtimestamp(now, UTC)


def nth(number: int, expires_at: int) -> Credentials:
    return Credentials(f"AKIA{number}", f"secret{number}", f"token{number}", expires_at)


@contextmanager
def source_of(find: Callable[[], BotoCredentials | None], wait_at_most: float = 5.0) -> Iterator[CredentialSource]:
    source = CredentialSource(find, wait_at_most=wait_at_most)
    try:
        yield source
    finally:
        source.close()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not done():  # noqa: ASYNC110 - a thread is watched, which sets no asyncio.Event
            await asyncio.sleep(0.002)


async def settled(source: CredentialSource) -> None:
    await until(lambda: source._refreshing is None or source._refreshing.done())


def refused(call: Callable[[], object]) -> None:
    with pytest.raises(Refusal) as caught:
        call()
    assert (caught.value.code, caught.value.retry_after) == (Code.STORAGE_UNAVAILABLE, 10)


async def test_fixed_keys_are_asked_for_once_and_never_expire() -> None:
    asked = count()
    keys = BotoCredentials("AKIA", "secret", "token")

    def find() -> BotoCredentials:
        next(asked)
        return keys

    with source_of(find) as source:
        expected = Credentials("AKIA", "secret", "token", None)
        assert await source.fresh(NOW) == expected
        assert source.current(NOW + 10**9) == expected
        assert await source.fresh(NOW + 10**9) == expected
    assert next(asked) == 1


async def test_a_session_for_given_keys_holds_them() -> None:
    keys = Credentials("AKIA", "secret", "token")
    with source_of(open_session("eu-west-3", keys).get_credentials) as source:
        assert await source.fresh(NOW) == keys


async def test_a_session_finds_keys_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from-the-environment")
    with source_of(open_session("eu-west-3").get_credentials) as source:
        assert await source.fresh(NOW) == Credentials("AKIAENV", "from-the-environment")


async def test_no_credentials_at_all_are_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    with source_of(open_session("eu-west-3").get_credentials) as source:
        with pytest.raises(Refusal):
            await source.fresh(NOW)
        refused(lambda: source.current(NOW))
    assert caplog.messages[-1] == "no storage credentials in the environment, a profile or a role"


@pytest.mark.parametrize("empty", [BotoCredentials("", ""), BotoCredentials("AKIA", "")])
async def test_empty_keys_are_a_refusal(empty: BotoCredentials) -> None:
    with source_of(lambda: empty) as source, pytest.raises(Refusal):
        await source.fresh(NOW)


async def test_a_role_that_cannot_be_assumed_is_a_refusal() -> None:
    def refresh() -> dict[str, str]:
        raise OSError

    role = DeferredRefreshableCredentials(refresh, "assume-role")
    with source_of(lambda: role) as source, pytest.raises(Refusal):
        await source.fresh(NOW)


async def test_a_provider_that_breaks_is_a_refusal_and_its_words_stay_out_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def find() -> BotoCredentials:
        raise ValueError("http://169.254.169.254/secret")

    with source_of(find) as source, pytest.raises(Refusal):
        await source.fresh(NOW)
    assert caplog.messages == ["no storage credentials: ValueError"]


async def test_before_anything_is_held_current_refuses_at_once_and_begins_to_look() -> None:
    role, gate = Role(first=HOUR), threading.Event()

    def find() -> BotoCredentials:
        gate.wait(5)
        return role.find()

    with source_of(find) as source:
        refused(lambda: source.current(NOW))
        gate.set()
        await settled(source)
        assert source.current(NOW) == nth(0, NOW + HOUR)


@pytest.mark.threat(50)
async def test_with_fifteen_minutes_left_new_ones_are_fetched_while_the_old_ones_sign() -> None:
    role = Role(first=HOUR)
    with source_of(role.find) as source:
        await source.fresh(NOW)
        role.now = NOW + HOUR - 15 * MINUTE - 1
        assert source.current(role.now) == nth(0, NOW + HOUR)
        assert role.asked == 0
        role.gate.clear()
        role.now += 2
        assert source.current(role.now) == nth(0, NOW + HOUR)  # no waiting
        await until(lambda: role.asked == 1)
        assert await source.fresh(role.now) == nth(0, NOW + HOUR)  # none here either
        role.gate.set()
        await settled(source)
        assert source.current(role.now) == nth(1, role.now + HOUR)
        assert role.asked == 1


@pytest.mark.threat(50)
async def test_with_less_than_two_minutes_left_fresh_waits_for_new_ones() -> None:
    role = Role(first=HOUR)
    with source_of(role.find) as source:
        await source.fresh(NOW)
        role.now = NOW + HOUR - 2 * MINUTE + 1
        waiting = await asyncio.gather(*(source.fresh(role.now) for _ in range(20)))
        assert waiting == [nth(1, role.now + HOUR)] * 20
        assert role.asked == 1


@pytest.mark.threat(50)
@pytest.mark.parametrize("minutes", [14, 12, 9, 5, 2])
@pytest.mark.parametrize("already_held", [True, False])
async def test_while_refreshing_fails_the_old_ones_sign_urls_that_end_with_them(
    minutes: int,
    already_held: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    role = Role(first=HOUR, fails=True)
    with source_of(role.find) as source:
        if already_held:
            await source.fresh(NOW)
        role.now = NOW + HOUR - minutes * MINUTE
        held = await source.fresh(role.now)
        assert held == nth(0, NOW + HOUR)
        assert lifetime(held, role.now, 3600) == minutes * MINUTE
        await settled(source)


@pytest.mark.threat(50)
@pytest.mark.parametrize("left", [59, 1, 0, -1, -HOUR])
async def test_nothing_is_signed_with_credentials_that_end_within_a_minute(left: int) -> None:
    role = Role(first=HOUR, fails=True)
    with source_of(role.find) as source:
        await source.fresh(NOW)
        role.now = NOW + HOUR - left
        refused(lambda: source.current(role.now))
        with pytest.raises(Refusal):
            await source.fresh(role.now)


async def test_a_refresh_that_hangs_holds_up_callers_for_so_long_only() -> None:
    role = Role(first=HOUR)
    with source_of(role.find, wait_at_most=0.1) as source:
        await source.fresh(NOW)
        role.gate.clear()
        role.now = NOW + HOUR - 90
        assert await source.fresh(role.now) == nth(0, NOW + HOUR)
        role.now = NOW + HOUR - 30
        with pytest.raises(Refusal):
            await source.fresh(role.now)
        role.gate.set()
        await settled(source)
        assert source.current(role.now) == nth(1, role.now + HOUR)


async def test_a_failing_refresh_is_tried_every_ten_seconds_and_heals_by_itself() -> None:
    role = Role(first=HOUR, fails=True)
    with source_of(role.find) as source:
        await source.fresh(NOW)
        role.now = start = NOW + HOUR - 14 * MINUTE
        for second in range(21):
            role.now = start + second
            source.current(role.now)
            await settled(source)
        assert role.asked == 3
        role.fails = False
        role.now = start + 30
        source.current(role.now)
        await settled(source)
        assert source.current(role.now) == nth(4, role.now + HOUR)


async def test_one_caller_that_gives_up_does_not_take_the_refresh_from_the_others() -> None:
    role = Role(first=HOUR)
    with source_of(role.find) as source:
        await source.fresh(NOW)
        role.gate.clear()
        role.now = NOW + HOUR - 90
        impatient, patient = (asyncio.create_task(source.fresh(role.now)) for _ in range(2))
        await until(lambda: role.asked == 1)
        impatient.cancel()
        role.gate.set()
        assert await patient == nth(1, role.now + HOUR)
        assert impatient.cancelled()


@pytest.mark.threat(50)
async def test_a_later_expiry_of_the_same_token_is_not_believed() -> None:
    role = Role(first=HOUR, stays=True)
    with source_of(role.find) as source:
        await source.fresh(NOW)
        role.now = NOW + HOUR - 10 * MINUTE
        source.current(role.now)
        await settled(source)
        assert role.asked == 1
        assert source.current(role.now) == nth(0, NOW + HOUR)
        role.now = NOW + HOUR
        refused(lambda: source.current(role.now))


async def test_secrets_stay_out_of_representations_and_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "gateway")
    role = Role(first=9 * MINUTE, fails=True)
    with source_of(role.find) as source:
        held = await source.fresh(NOW)
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("gateway.")]
    assert logged == ["the storage credentials were not refreshed: OSError"]
    assert "secret0" not in repr(held)
    assert "token0" not in repr(held)
