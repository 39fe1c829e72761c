"""A benchmark clock.  Without TensorFlow, because the training uses it as well."""

import time
from typing import Any, Callable


def shortest_time(action: Callable[[], Any], runs: int = 15) -> float:
    """The shortest time of ``action`` in seconds, of ``runs`` after one that warms up."""
    action()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)
