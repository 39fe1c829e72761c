"""Rates, latency, step times and losses of a stream."""

import threading
import time
from typing import Callable, Iterable, List, NamedTuple, Sequence, Tuple


class FrameTiming(NamedTuple):
    """Seconds that each step of a frame took."""

    decode: float = 0.0
    network: float = 0.0
    encode: float = 0.0
    publish: float = 0.0


NO_TIMING = FrameTiming()


class StreamSummary(NamedTuple):
    """A stream at a moment.

    Attributes:
        input_rate: received frames per second, over the window of the `StreamStats`.
        output_rate: published frames per second, over the same window.
        latency: mean seconds from a frame's arrival to its publication.
        timing: mean seconds of each step.
        dropped: frames replaced by a newer one before their turn, since the start.
        failed: frames that could not be painted, since the start.
        skipped: frames that hardly differed from the last painted one, which was published again, since the start.
    """

    input_rate: float
    output_rate: float
    latency: float
    timing: FrameTiming
    dropped: int
    failed: int
    skipped: int = 0


class StreamStats:
    """Counts the frames of a stream.  Thread-safe.

    Args:
        window: seconds over which rates and means are computed.
        clock: returns monotonic seconds.
    """

    def __init__(self, window: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()
        self._received: List[float] = []  # times
        self._published: List[Tuple[float, float, FrameTiming]] = []  # (time, latency, timing)
        self._dropped = 0
        self._failed = 0
        self._skipped = 0

    def count_received(self) -> None:
        with self._lock:
            self._received.append(self._clock())

    def count_published(self, latency: float, timing: FrameTiming = NO_TIMING) -> None:
        with self._lock:
            self._published.append((self._clock(), latency, timing))

    def count_dropped(self) -> None:
        with self._lock:
            self._dropped += 1

    def count_failed(self) -> None:
        with self._lock:
            self._failed += 1

    def count_skipped(self) -> None:
        with self._lock:
            self._skipped += 1

    def read(self) -> StreamSummary:
        """The stream's present `StreamSummary`."""
        with self._lock:
            now = self._clock()
            oldest = now - self._window
            self._received = [received for received in self._received if received > oldest]
            self._published = [entry for entry in self._published if entry[0] > oldest]
            # A young stream has not filled its window yet.
            span = max(min(self._window, now - self._start), 1e-3)
            count = len(self._published)
            latency = sum(entry[1] for entry in self._published) / count if count else 0.0
            timing = _mean_timing([entry[2] for entry in self._published], [1.0] * count)
            return StreamSummary(
                len(self._received) / span, count / span, latency, timing, self._dropped, self._failed, self._skipped
            )


def combine(summaries: Iterable[StreamSummary]) -> StreamSummary:
    """Several streams as one: rates and losses add up, times are means over all published frames."""
    summaries = list(summaries)
    rates = [summary.output_rate for summary in summaries]
    published = sum(rates)
    latency = sum(rate * summary.latency for rate, summary in zip(rates, summaries)) / published if published else 0.0
    return StreamSummary(
        sum(summary.input_rate for summary in summaries),
        published,
        latency,
        _mean_timing([summary.timing for summary in summaries], rates),
        sum(summary.dropped for summary in summaries),
        sum(summary.failed for summary in summaries),
        sum(summary.skipped for summary in summaries),
    )


def _mean_timing(timings: Sequence[FrameTiming], weights: Sequence[float]) -> FrameTiming:
    total = sum(weights)
    if not total:
        return NO_TIMING
    return FrameTiming(
        *(sum(weight * seconds for weight, seconds in zip(weights, column)) / total for column in zip(*timings))
    )
