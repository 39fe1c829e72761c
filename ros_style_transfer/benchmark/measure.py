"""Times, the machine's limits, and the arithmetic of a picture."""
import functools
import time
from typing import NamedTuple

import numpy as np

from ..errors import OptionError
from ..models import device
from ..models.shapes import cascade_multiply_adds, live_multiply_adds

LEAST_RUNS, LEAST_SECONDS = 7, 1.0


class Times(NamedTuple):
    """Seconds: the median of all runs, and between which nine tenths of them lie."""

    median: float
    low: float
    high: float

    def __str__(self):
        return "%.1f ms (%.1f to %.1f)" % tuple(1e3 * seconds for seconds in self)


def times(action, runs=LEAST_RUNS, seconds=LEAST_SECONDS):
    """`Times` of ``action`` (), after two calls that do not count, for so many runs and seconds at least."""
    action()
    action()
    taken, started = [], time.perf_counter()
    while len(taken) < runs or time.perf_counter() - started < seconds:
        begin = time.perf_counter()
        action()
        taken.append(time.perf_counter() - begin)
    return Times(*np.percentile(taken, (50, 5, 95)))


def peak(dtype):
    """Multiply-adds a second of the fastest of a few square 3x3 convolutions: what this machine can do at best."""
    time_of = device.integer_convolution_time if dtype == "int8" else functools.partial(device.convolution_time, dtype)
    clock = lambda action: times(action, seconds=0.3).low
    return max(side * side * 9 * channels * channels / time_of(side, channels, clock)
               for side, channels in ((128, 64), (64, 128), (64, 256)))


def multiply_adds(model, entry, width, height):
    """``{layer: multiply-adds}`` of a painted picture; a style costs nothing once it is known.

    Args:
        entry: the model's, of the manifest.
    """
    if model == "cascade":
        return cascade_multiply_adds(entry["backbone"], entry["widths"], width, height)
    return live_multiply_adds(entry["widths"], entry["blocks"], width, height)


def peak_memory(action):
    """Bytes of this process' memory while ``action`` () ran, at most; None where the system does not tell."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak begins anew
        action()
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except OSError:
        action()
        return None


def pyplot():
    """matplotlib's, which draws without a screen.

    Raises:
        OptionError: it is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise OptionError("drawing needs matplotlib; install it or leave --plot out") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
