"""Fronts: a file as a proof sees it, cut where its window may end, patched in one place, and damaged at random."""

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

from gateway.content.media_types import FRONT_BYTES

IsIt = Callable[[bytes, int], bool]  # of a front and the object's size


def is_whole(is_it: IsIt, content: bytes) -> bool:
    """Ask about a file as the gateway does: by what is in view of it, and its size."""
    return is_it(content[:FRONT_BYTES], len(content))


def least_front(is_it: IsIt, content: bytes) -> int:
    """How much of a file has to be in view to prove it; more of it must prove it as well."""
    proved = [is_it(content[:length], len(content)) for length in range(min(len(content), FRONT_BYTES) + 1)]
    least = proved.index(True)
    assert all(proved[least:]), proved.index(False, least)
    return least


def accepted_cuts(is_it: IsIt, content: bytes) -> list[int]:
    """The lengths to which a file may be cut short, so that it still passes for a whole one."""
    return [length for length in range(len(content)) if is_it(content[:length], length)]


def patched(content: bytes, at: int, new: bytes) -> bytes:
    """The same file with other bytes in one place."""
    return content[:at] + new + content[at + len(new) :]


def damaged(contents: Sequence[bytes]) -> st.SearchStrategy[tuple[bytes, int]]:
    """Fronts, each with the size of an object, of files with bytes changed, put in, left out or repeated."""
    patch = st.builds(bytes.__mul__, st.binary(max_size=12), st.sampled_from([1, 1, 2, 500]))
    place = st.tuples(st.integers(min_value=0), st.integers(0, 40))

    def damage(content: bytes, place: tuple[int, int], patch: bytes, more: int) -> tuple[bytes, int]:
        at, skipped = place[0] % (len(content) + 1), place[1]
        front = (content[:at] + patch + content[at + skipped :])[:FRONT_BYTES]
        return front, len(front) + more

    return st.builds(damage, st.sampled_from(contents), place, patch, st.sampled_from([0, 0, 1, 9, 5000, 2**40]))
