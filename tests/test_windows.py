"""A sliding count: what counts, when a cost fits, and when nothing counts any more."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.windows import Window

HOUR = 3600
EMPTY = Window(limit=100, seconds=HOUR, before=0, fades_in=0, now=0, ends_in=-HOUR)  # as Redis tells it of no keys


def later(window: Window, seconds: int) -> Window:
    """Return the count as it is after so many seconds in which nothing was counted."""
    if seconds < window.ends_in:
        return replace(window, fades_in=max(window.fades_in - seconds, 0), ends_in=window.ends_in - seconds)
    left = max(window.ends_in + window.seconds - seconds, 0)
    return replace(window, before=window.now, fades_in=left, now=0, ends_in=left)


def fits(window: Window, cost: int) -> bool:
    return window.used + cost <= window.limit


def test_nothing_counted_is_all_of_it_now() -> None:
    assert (EMPTY.used, EMPTY.whole_in, EMPTY.fits_in(100)) == (0, 0, 0)


def test_what_the_window_before_has_granted_fades_evenly() -> None:
    window = Window(limit=100, seconds=HOUR, before=80, fades_in=HOUR / 2, now=10, ends_in=HOUR / 2)
    assert (window.used, window.whole_in) == (50, HOUR // 2 + HOUR)
    assert (window.fits_in(50), window.fits_in(51)) == (0, 1)  # 51 as soon as 40 fade to less
    assert window.fits_in(90) == HOUR // 2 - 45 + 1  # when 80 have faded to less than one
    assert window.fits_in(91) == HOUR // 2 + HOUR // 10 - 360 + 1  # when the 10 of this window begin to fade
    assert window.fits_in(100) == HOUR // 2 + HOUR - 360 + 1


def test_what_never_fits_is_told_to_come_when_all_has_faded() -> None:
    window = Window(limit=100, seconds=HOUR, before=0, fades_in=0, now=100, ends_in=HOUR)
    assert window.fits_in(101) == window.fits_in(10**15) == window.fits_in(100)


counts = st.integers(0, 10**12)  # of more, the rounding of floats is more than what fades within a second


@st.composite
def windows(draw: st.DrawFn) -> Window:
    seconds = draw(st.integers(1, 2_678_400))
    ends_in = draw(st.floats(0.001, 1)) * seconds
    limit, before, now = draw(counts.filter(bool)), draw(counts), draw(counts)
    return Window(limit, seconds, min(before, limit), ends_in if before else 0.0, min(now, limit), ends_in)


@given(windows(), counts)
def test_a_cost_fits_when_it_is_told_to_and_not_two_seconds_before(window: Window, cost: int) -> None:
    cost = min(cost, window.limit)
    wait = window.fits_in(cost)
    assert fits(later(window, wait), cost)
    assert wait <= 2 or not fits(later(window, wait - 2), cost)


@given(windows())
def test_all_of_it_is_back_when_it_is_told_to_be(window: Window) -> None:
    assert later(window, window.whole_in).used == 0
    assert 0 <= window.whole_in <= 2 * window.seconds
    assert window.fits_in(window.limit) <= window.whole_in + 1


@pytest.mark.parametrize("seconds", [1, 60, HOUR, 86_400, 2_678_400])
def test_a_full_window_opens_within_two(seconds: int) -> None:
    full = Window(limit=10, seconds=seconds, before=10, fades_in=seconds, now=10, ends_in=seconds)
    assert 0 < full.fits_in(1) <= full.fits_in(10) <= 2 * seconds + 1
