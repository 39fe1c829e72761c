"""How fast and how large frames go to one viewer, judged by when its browser confirms them.  Nothing here needs ROS."""

import time
from typing import Callable, Dict, NamedTuple, Tuple


class Rung(NamedTuple):
    """A size of frames: the longer side at most, in pixels, and the JPEG quality, 1 to 100."""

    side: int
    quality: int


# Viewers share these few sizes, so that each is encoded only once.
RUNGS: Tuple[Rung, ...] = (
    Rung(240, 45),
    Rung(320, 55),
    Rung(480, 65),
    Rung(640, 75),
    Rung(960, 78),
    Rung(1280, 80),
    Rung(1920, 82),
    Rung(2880, 82),
)
FIRST = 3  # rung of a new viewer
WINDOW = 2  # frames on their way: one is sent while the other is drawn
SLOW, FAST = 0.25, 0.08  # seconds that a frame may take longer than the fastest ones
PATIENCE, COURAGE = 3, 20  # frames in a row that are slow, or fast, before the size changes
REST = 10.0  # seconds after a step down until a step up
MEMORY = 30.0  # seconds for which the fastest confirmation counts


def rung_for(side: float) -> int:
    """The number of the smallest rung for pictures whose longer side is ``side``."""
    return next((number for number, rung in enumerate(RUNGS) if rung.side >= side), len(RUNGS) - 1)


class Pace:
    """What a viewer's connection takes.

    Args:
        clock: returns monotonic seconds.

    Attributes:
        top: the rung that the viewer's screen has use for.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent: Dict[int, float] = {}
        self._fastest, self._fastest_time = float("inf"), 0.0
        self._slow = self._fast = 0
        self._wanted, self._lowered = FIRST, -REST
        self.top = FIRST

    @property
    def rung(self) -> int:
        """The number of the rung for the next frame."""
        return min(self._wanted, self.top)

    @property
    def is_open(self) -> bool:
        """Whether another frame may be sent."""
        return len(self._sent) < WINDOW

    def sent(self, number: int) -> None:
        """The frame ``number`` goes out."""
        self._sent[number] = self._clock()

    def confirmed(self, number: int) -> None:
        """The browser has drawn the frame ``number``; numbers that were not sent are ignored."""
        began, now = self._sent.pop(number, None), self._clock()
        if began is None:
            return
        delay = now - began
        if delay <= self._fastest or now - self._fastest_time > MEMORY:
            self._fastest, self._fastest_time = delay, now
        excess = delay - self._fastest
        self._slow = self._slow + 1 if excess > SLOW else 0
        self._fast = self._fast + 1 if excess < FAST else 0
        if self._slow >= PATIENCE:
            self._step(self.rung - 1)
            self._lowered = now
        elif self._fast >= COURAGE and self.rung < self.top and now - self._lowered > REST:
            self._step(self.rung + 1)

    def _step(self, rung: int) -> None:
        self._wanted, self._slow, self._fast = max(0, rung), 0, 0
