"""Rates, latency and counts of a stream."""
import threading
import time
from typing import NamedTuple


class Counts(NamedTuple):
    """What a stream did: frames a second and mean seconds over the meter's window, and totals
    since the start."""

    input_rate: float
    output_rate: float
    latency: float
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
        self._received, self._published = [], []  # times; (time, latency)
        self._dropped = self._failed = 0

    def received(self):
        with self._lock:
            self._received.append(self._clock())

    def published(self, latency):
        with self._lock:
            self._published.append((self._clock(), latency))

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
            latencies = [latency for _, latency in self._published]
            return Counts(len(self._received) / span, len(latencies) / span,
                          sum(latencies) / len(latencies) if latencies else 0.0, self._dropped, self._failed)
