"""How the time budget of a render is shared among its sizes."""

import math
import time
from typing import Callable, List, Sequence

# A size is begun only if the time suffices for this many iterations at it.  Few suffice: measured on the whole picture,
# the loss after 4 iterations at the finest size is half of that after 28 at half the size, in the same time.
MIN_ITERATIONS = 2
# What it takes to begin a size, in iterations at it: the features of content and styles, and the curvature.
START_COST = 1.5
# What follows the last iteration: conversion, compression and the end of the process.
FINISH_SECONDS, FINISH_SECONDS_PER_PIXEL = 0.3, 0.5e-6
WINDOW = 5  # iterations whose durations predict the next ones


class TimeUp(Exception):
    """The time budget does not suffice for one more evaluation."""


class Schedule:
    """Decides when a render goes on to its next size, and when it ends.

    Every size gets a part of the time in proportion to its pixels.  If the time suffices for too few iterations at
    the finest sizes, the render spends it at the coarser ones instead.

    Args:
        pixels: number of pixels of each size, from coarse to fine.
        iterations: the most at each size.
        budget: seconds; 0: no limit.
        started: when the budget began, on ``clock``.
        clock: () to seconds.
    """

    def __init__(
        self,
        pixels: Sequence[int],
        iterations: int,
        budget: float,
        started: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pixels = list(pixels)
        self._iterations = iterations
        self._fewest = min(MIN_ITERATIONS, iterations)
        self._clock = clock
        finish = FINISH_SECONDS + FINISH_SECONDS_PER_PIXEL * self._pixels[-1]
        self._deadline = started + max(budget - finish, 0.0) if budget else math.inf
        self._scale = 0
        self._done = 0
        self._size_started = self._iteration_started = clock()
        self._durations: List[float] = []  # seconds per pixel of the last iterations
        self.cut = False  # whether the budget has taken an iteration away

    def begin_size(self, scale: int, done: int = 0) -> None:
        """Begin the size ``scale``, at which ``done`` iterations have been made."""
        self._scale, self._done = scale, done
        self._size_started = self._iteration_started = self._clock()

    def record_iteration(self) -> None:
        """An iteration has ended."""
        now = self._clock()
        self._durations.append((now - self._iteration_started) / self._pixels[self._scale])
        self._iteration_started = now
        self._done += 1

    def check_time(self) -> None:
        """Raise `TimeUp` unless one more evaluation fits; the first iteration of a render is always made."""
        if self._durations and self._left() < min(self._durations[-WINDOW:]) * self._pixels[self._scale]:
            self.cut = True
            raise TimeUp

    def size_is_over(self) -> bool:
        """Whether the current size has had its part of the time; called after each iteration."""
        if self._done >= self._iterations:
            return True
        left, finest, pace = self._left(), self._finest_affordable(), self._pace() * self._pixels[self._scale]
        if finest == self._scale:
            over = left < pace
        else:
            available = self._deadline - self._size_started
            part = available * self._pixels[self._scale] / sum(self._pixels[self._scale : finest + 1])
            spent = self._clock() - self._size_started
            reserved = sum(self._seconds_for(scale, self._fewest) for scale in range(self._scale + 1, finest + 1))
            over = left - pace < reserved or (spent + pace > part and self._done >= self._fewest)
        self.cut = self.cut or over
        return over

    def allows_next_size(self) -> bool:
        """Whether the render goes on to the next size; called after the current one."""
        after = self._scale + 1
        if after >= len(self._pixels):
            return False
        # When nothing is left to do at this size, even a few iterations at the next are worth their time.
        count = 1 if self._done >= self._iterations else self._fewest
        allowed = self._left() >= self._seconds_for(after, count)
        self.cut = self.cut or not allowed
        return allowed

    def remaining(self) -> float:
        """Estimated seconds until the render ends."""
        pixels = self._pixels[self._scale] * (self._iterations - self._done)
        pixels += self._iterations * sum(self._pixels[self._scale + 1 :])
        return max(0.0, min(self._pace() * pixels, self._left()))

    def _left(self) -> float:
        return self._deadline - self._clock()

    def _pace(self) -> float:
        """Seconds per pixel of an iteration: the median of the last ones, because the first one traces graphs."""
        last = sorted(self._durations[-WINDOW:])
        return last[len(last) // 2] if last else 0.0

    def _seconds_for(self, scale: int, count: int) -> float:
        return (START_COST + count) * self._pace() * self._pixels[scale] if self._deadline < math.inf else 0.0

    def _finest_affordable(self) -> int:
        """The finest size for which, after the ones before it, the time suffices."""
        left, finest = self._left(), self._scale
        for scale in range(self._scale + 1, len(self._pixels)):
            left -= self._seconds_for(scale, self._fewest)
            if left < 0:
                break
            finest = scale
        return finest
