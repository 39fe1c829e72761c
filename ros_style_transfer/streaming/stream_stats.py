"""Rates, latency and counts of a stream."""
import threading
import time
from typing import NamedTuple

STEPS = ("decode", "network", "encode", "publish")  # what a frame goes through
NO_TIME = (0.0,) * len(STEPS)


class Counts(NamedTuple):
    """What a stream did: frames a second, mean seconds of a frame, whole and of each of the `STEPS`, over
    the meter's window; and totals since the start."""

    input_rate: float
    output_rate: float
    latency: float
    steps: tuple
    dropped: int
    failed: int


class Meter:
    """Counts frames; every method may be called from any thread.

    Args:
        window: seconds over which rates are taken.
        clock: seconds, monotonic.
    """

    def __init__(self, window=2.0, clock=time.monotonic):
        self._window, self._clock, self._start = window, clock, clock()
        self._lock = threading.Lock()
        self._received, self._published = [], []  # times; (time, latency, seconds of each step)
        self._dropped = self._failed = 0

    def received(self):
        with self._lock:
            self._received.append(self._clock())

    def published(self, latency, steps=NO_TIME):
        with self._lock:
            self._published.append((self._clock(), latency, *steps))

    def dropped(self):
        with self._lock:
            self._dropped += 1

    def failed(self):
        with self._lock:
            self._failed += 1

    def read(self):
        """The present `Counts`."""
        with self._lock:
            now = self._clock()
            oldest = now - self._window
            self._received = [t for t in self._received if t > oldest]
            self._published = [p for p in self._published if p[0] > oldest]
            # A young stream has not filled its window yet.
            span = max(min(self._window, now - self._start), 1e-3)
            count = len(self._published)
            means = [sum(column) / count for column in zip(*self._published)][1:] or (0.0, *NO_TIME)
            return Counts(len(self._received) / span, count / span, means[0], tuple(means[1:]),
                          self._dropped, self._failed)


def together(counts):
    """The `Counts` of several streams as those of one."""
    counts = list(counts)
    published = sum(c.output_rate for c in counts)
    mean = lambda values: sum(c.output_rate * v for c, v in zip(counts, values)) / published if published else 0.0
    return Counts(sum(c.input_rate for c in counts), published, mean([c.latency for c in counts]),
                  tuple(mean(step) for step in zip(*(c.steps for c in counts))),
                  sum(c.dropped for c in counts), sum(c.failed for c in counts))
