"""A count that slides: two numbers stand for all that was counted within the last window, whenever that began."""

from dataclasses import dataclass
from math import ceil, floor

MARGIN = 0.001  # seconds, more than what floats are off by


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding count: `before` fades away within `fades_in` seconds, and `now` from then on that this window ends."""

    limit: int
    seconds: int
    before: int
    fades_in: float
    now: int
    ends_in: float

    @property
    def used(self) -> int:
        """What counts at this moment."""
        return floor(self.before * self.fades_in / self.seconds) + self.now

    @property
    def whole_in(self) -> int:
        """After how many seconds nothing counts any more."""
        return ceil(self.ends_in + self.seconds if self.now else self.fades_in if self.before else 0)

    def fits_in(self, cost: int) -> int:
        """After how many seconds so much fits, if nothing else is counted meanwhile."""
        room = max(self.limit - cost, 0)
        if self.used <= room:
            return 0
        if self.now <= room:
            seconds = self.fades_in - (room - self.now + 1) * self.seconds / self.before
        else:
            seconds = self.ends_in + self.seconds - (room + 1) * self.seconds / self.now
        return floor(seconds + MARGIN) + 1
