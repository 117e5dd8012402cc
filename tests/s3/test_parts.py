"""The arithmetic of parts, at every boundary of S3's: sizes in bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.s3.parts import MAX_OBJECT, MAX_PART, MAX_PARTS, MIB, MIN_PART, USUAL_PART, Plan

GIB = 1024 * MIB
FULL = 10_000 * USUAL_PART  # what parts of the usual size can hold


def test_the_limits_are_those_that_s3_documents() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
    assert (MIN_PART, MAX_PART, MAX_PARTS) == (5_242_880, 5_368_709_120, 10_000)
    assert round(MAX_OBJECT / 2**40, 1) == 48.8
    assert (USUAL_PART, FULL) == (8_388_608, 83_886_080_000)


@pytest.mark.parametrize(
    ("size", "part_size", "part_count", "last"),
    [
        (1, USUAL_PART, 1, 1),
        (MIN_PART - 1, USUAL_PART, 1, MIN_PART - 1),
        (MIN_PART, USUAL_PART, 1, MIN_PART),
        (MIN_PART + 1, USUAL_PART, 1, MIN_PART + 1),
        (USUAL_PART - 1, USUAL_PART, 1, USUAL_PART - 1),
        (USUAL_PART, USUAL_PART, 1, USUAL_PART),
        (USUAL_PART + 1, USUAL_PART, 2, 1),
        (2 * USUAL_PART, USUAL_PART, 2, USUAL_PART),
        (300_000_000, USUAL_PART, 36, 6_398_720),
        (FULL - 1, USUAL_PART, 10_000, USUAL_PART - 1),
        (FULL, USUAL_PART, 10_000, USUAL_PART),
        (FULL + 1, 9 * MIB, 8_889, 8 * MIB + 1),  # one byte more, and all parts grow by a MiB
        (10_000 * 9 * MIB, 9 * MIB, 10_000, 9 * MIB),
        (10_000 * 9 * MIB + 1, 10 * MIB, 9_001, 1),
        (MAX_OBJECT - 10_000 * MIB, 5 * GIB - MIB, 10_000, 5 * GIB - MIB),
        (MAX_OBJECT - 10_000 * MIB + 1, 5 * GIB, 9_999, 240 * MIB + 1),
        (MAX_OBJECT - 1, MAX_PART, 10_000, MAX_PART - 1),
        (MAX_OBJECT, MAX_PART, 10_000, MAX_PART),
    ],
)
def test_each_size_is_divided_so(size: int, part_size: int, part_count: int, last: int) -> None:
    plan = Plan.of(size)
    assert (plan.part_size, plan.part_count, plan.part(plan.part_count)) == (part_size, part_count, last)
    assert plan.part_size * (plan.part_count - 1) + plan.part(plan.part_count) == size


@pytest.mark.parametrize("size", [-1, 0, MAX_OBJECT + 1, 10**18])
def test_no_bytes_and_more_than_s3_takes_are_not_divided(size: int) -> None:
    with pytest.raises(ValueError, match=f"1 to {MAX_OBJECT} bytes"):
        Plan.of(size)


@pytest.mark.threat(5)
@pytest.mark.parametrize(("size", "number"), [(1, 0), (1, 2), (1, -1), (FULL, 0), (FULL, 10_001), (MAX_OBJECT, 10_001)])
def test_there_is_no_part_before_the_first_or_behind_the_last(size: int, number: int) -> None:
    plan = Plan.of(size)
    with pytest.raises(ValueError, match=f"numbered 1 to {plan.part_count}, not {number}"):
        plan.part(number)


@pytest.mark.parametrize("usual", [MIN_PART, 100 * MIB, 5 * GIB])
def test_another_usual_size_is_kept_until_there_would_be_too_many_parts(usual: int) -> None:
    assert Plan.of(10_000 * usual, usual) == Plan(10_000 * usual, usual)
    if usual < MAX_PART:
        assert Plan.of(10_000 * usual + 1, usual).part_size == usual + MIB


SIZES = st.one_of(
    st.integers(1, 100 * MIB),
    st.integers(1, MAX_OBJECT),
    st.builds(  # beside each multiple of a whole MiB for ten thousand parts
        lambda part_size, off: max(1, min(MAX_OBJECT, 10_000 * part_size * MIB + off)),
        st.integers(5, 5 * 1024),
        st.integers(-2, 2),
    ),
)


@given(size=SIZES, usual=st.just(USUAL_PART) | st.integers(MIN_PART, MAX_PART))
def test_whatever_the_size_the_parts_add_up_within_the_limits_of_s3(size: int, usual: int) -> None:
    plan = Plan.of(size, usual)
    sizes = [plan.part(number) for number in range(1, plan.part_count + 1)]
    assert 1 <= len(sizes) <= MAX_PARTS
    assert sum(sizes) == size
    assert set(sizes[:-1]) <= {plan.part_size}
    assert MIN_PART <= plan.part_size <= MAX_PART
    assert 1 <= sizes[-1] <= plan.part_size
