"""Measuring: durations, the machine's limits, memory, and the arithmetic that a picture needs."""

import functools
import time
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

import numpy as np

from ..errors import OptionError
from ..models import device
from ..models.registry import MODELS

MIN_RUNS, MIN_SECONDS = 7, 1.0


class Times(NamedTuple):
    """Seconds: the median of all runs, and the bounds of the middle nine tenths."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return "%.1f ms (%.1f to %.1f)" % tuple(1e3 * seconds for seconds in self)


def times(action: Callable[[], Any], runs: int = MIN_RUNS, seconds: float = MIN_SECONDS) -> Times:
    """`Times` of ``action``, called at least ``runs`` times and for ``seconds``, after two calls as a warm-up."""
    action()
    action()
    durations, started = [], time.perf_counter()
    while len(durations) < runs or time.perf_counter() - started < seconds:
        begin = time.perf_counter()
        action()
        durations.append(time.perf_counter() - begin)
    return Times(*np.percentile(durations, (50, 5, 95)))


def peak(precision: str) -> float:
    """Multiply-adds per second of the fastest of a few square 3x3 convolutions: the limit of this machine."""
    time_of = (
        device.int8_convolution_time if precision == "int8" else functools.partial(device.convolution_time, precision)
    )
    clock = lambda action: times(action, seconds=0.3).low
    return max(
        side * side * 9 * channels * channels / time_of(side, channels, clock)
        for side, channels in ((128, 64), (64, 128), (64, 256))
    )


def multiply_adds(model: str, facts: Mapping[str, Any], width: int, height: int) -> Dict[str, float]:
    """``{layer: multiply-adds}`` of a stylized picture; the style is already encoded.

    Args:
        facts: the model's entry in the manifest.
    """
    return MODELS[model].multiply_adds(facts, width, height)


def peak_memory(action: Callable[[], Any]) -> Optional[int]:
    """The largest memory of this process in bytes while ``action`` ran; None if the system does not report it."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # resets the peak
        action()
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except OSError:
        action()
        return None


def pyplot() -> Any:
    """matplotlib's ``pyplot``, which draws without a screen.

    Raises:
        OptionError: it is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise OptionError("charts need matplotlib; install it or omit --plot") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
