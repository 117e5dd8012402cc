"""Tickets: which parts an upload has, and how long each of them is."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.filenames import Filename
from gateway.errors import Code, Refusal
from gateway.grants.keys import ObjectKey
from gateway.grants.policies import Grant
from gateway.grants.tickets import Multipart, Ticket
from gateway.s3.parts import MIN_PART, Plan

NOW = 1_800_000_000
KEY = ObjectKey("default", "videos", "0123456789abcdef0123456789abcdef", "bin")
MIB = 2**20
GRANT = Grant("alice", KEY, "application/octet-stream", 20 * MIB, None, Filename("a"), {}, NOW, NOW + 3600)
COUNTED = Ticket(GRANT, Multipart("an-upload-id", 8 * MIB))
STREAM = Ticket(replace(GRANT, exact=False), Multipart("an-upload-id", 8 * MIB))
FREE = Ticket(replace(GRANT, exact=False), Multipart("an-upload-id", None))


def refusal(ticket: Ticket, number: int, stated: int | None = None) -> tuple[Code, str]:
    with pytest.raises(Refusal) as caught:
        ticket.part_size(number, stated)
    return caught.value.code, caught.value.detail


@pytest.mark.threat(10)
@pytest.mark.parametrize("ticket", [COUNTED, STREAM])
def test_every_part_has_the_length_of_the_plan(ticket: Ticket) -> None:
    assert [ticket.part_size(number, None) for number in (1, 2, 3)] == [8 * MIB, 8 * MIB, 4 * MIB]
    assert [ticket.part_size(number, size) for number, size in ((1, 8 * MIB), (3, 4 * MIB))] == [8 * MIB, 4 * MIB]


@pytest.mark.threat(5)
@pytest.mark.parametrize("ticket", [COUNTED, STREAM])
@pytest.mark.parametrize("number", [-1, 0, 4, 10_001])
def test_there_are_no_other_parts(ticket: Ticket, number: int) -> None:
    assert refusal(ticket, number) == (Code.INVALID_REQUEST, "This upload has parts 1 to 3.")


@pytest.mark.threat(10)
@pytest.mark.parametrize(("number", "stated"), [(1, 8 * MIB - 1), (1, 8 * MIB + 1), (3, 4 * MIB - 1), (3, 1), (3, 0)])
def test_nobody_states_another_length_for_a_part_of_a_counted_file(number: int, stated: int) -> None:
    size = COUNTED.part_size(number, None)
    assert refusal(COUNTED, number, stated) == (
        Code.INVALID_REQUEST,
        f"Part {number} of this upload has {size} bytes.",
    )


@pytest.mark.threat(10)
def test_a_stream_may_state_that_a_part_is_shorter_and_never_longer() -> None:
    assert [STREAM.part_size(number, size) for number, size in ((1, 1), (2, 8 * MIB - 1), (3, 123))] == [
        1,
        8 * MIB - 1,
        123,
    ]
    for number, stated in ((1, 0), (1, -1), (1, 8 * MIB + 1), (3, 4 * MIB + 1), (3, 8 * MIB)):
        assert refusal(STREAM, number, stated)[0] is Code.INVALID_REQUEST


@pytest.mark.parametrize("stated", [None, 1, 10**12])
def test_a_client_that_divides_as_it_likes_has_no_lengths(stated: int | None) -> None:
    most = -(-FREE.grant.size // MIN_PART)  # however it divides, all parts but the last have 5 MiB
    assert FREE.part_size(1, stated) is None
    assert FREE.part_size(most, stated) is None
    assert refusal(FREE, most + 1) == (Code.INVALID_REQUEST, f"This upload has parts 1 to {most}.")


def test_a_single_request_has_no_parts() -> None:
    single = Ticket(GRANT)
    assert refusal(single, 1) == (Code.INVALID_REQUEST, "This upload is a single request and has no parts.")
    assert COUNTED.divided() == Multipart("an-upload-id", 8 * MIB)


@pytest.mark.threat(10)
@given(size=st.integers(1, 10**12), number=st.integers(1, 10_000), stated=st.none() | st.integers(-1, 10**10))
def test_no_part_of_a_stream_is_signed_for_more_than_the_grant_leaves(
    size: int, number: int, stated: int | None
) -> None:
    plan = Plan.of(size)
    ticket = Ticket(replace(GRANT, size=size, exact=False), Multipart("an-upload-id", plan.part_size))
    try:
        signed = ticket.part_size(number, stated)
    except Refusal:
        return
    assert signed is not None
    assert 1 <= signed <= min(plan.part_size, size - (number - 1) * plan.part_size)
