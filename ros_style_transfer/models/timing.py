"""A stop watch.  No TensorFlow: the training, which may run without, uses it, too."""

import time


def shortest(action):
    """Seconds that ``action`` () takes at least: of 15 times, after one that does not count."""
    action()
    times = []
    for _ in range(15):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)
