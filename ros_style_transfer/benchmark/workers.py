"""How fast pictures are stylized by one process with several threads, and by several workers with one thread each."""

import os
import statistics
import tempfile
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ..cluster import Cluster, Resources
from ..media import images
from ..media.style_library import StyleLibrary
from ..resources import own_memory
from .painting import STYLE, scene

WARM_UP = 2  # pictures of each worker that are not counted


class StylizeFile:
    """A worker's task: read a picture, stylize it, write it.

    Args:
        model: a model's name; empty: do nothing, which leaves Ray's own time.
        precision: of the model.
    """

    choice = "given"

    def __init__(self, model: str, precision: str) -> None:
        self._stylizer: Any = None
        if model:
            from ..stylizer import Stylizer

            self._stylizer = Stylizer(model, precision)
            self._stylizer.set_style(StyleLibrary().read(STYLE))

    def __call__(self, unit: Tuple[str, str]) -> Tuple[int, int]:
        """A picture's path and the one to write; returns the number of the process and its memory in bytes."""
        if self._stylizer:
            content, output = unit
            images.write(output, self._stylizer.stylize(images.read(content)))
        return os.getpid(), own_memory()


class Make:
    """Makes a task for `cluster.Worker`."""

    def __init__(self, model: str, precision: str) -> None:
        self._arguments = model, precision

    def __call__(self, choice: Any, memory: float, notify: Callable[[str], Any]) -> StylizeFile:
        return StylizeFile(*self._arguments)


def workers(
    models: Sequence[str], precision: str, size: Tuple[int, int], count: int, cores: int
) -> List[Dict[str, Any]]:
    """Measure each model in one process of ``cores`` threads and in ``cores`` workers of one thread.

    Args:
        size: width and height of the pictures.
        count: pictures for each measurement.

    Returns:
        The figures, which are printed as they are measured: pictures per second, megabytes of each worker, and the
        milliseconds that Ray itself takes for a picture.
    """
    results = []
    for model in [*models, ""]:
        for number, threads in ((1, cores), (cores, 1)) if model else ((1, 1),):
            rate, memory = _measure(model, precision, size, count if model else 20 * count, number, threads)
            found: Dict[str, Any] = dict(model=model, workers=number, threads=threads, pictures_per_second=rate)
            if model:
                found.update(megabytes=memory / 1e6)
                print(
                    "%-8s %d x %d threads: %6.2f pictures/s, %.0f MB each"
                    % (model, number, threads, rate, memory / 1e6)
                )
            else:
                found.update(overhead_ms=1e3 / rate)
                print("Ray itself: %.2f ms per picture" % found["overhead_ms"])
            results.append(found)
    return results


def _measure(
    model: str, precision: str, size: Tuple[int, int], count: int, number: int, threads: int
) -> Tuple[float, float]:
    """Pictures per second, and the largest memory of a worker in bytes."""
    with tempfile.TemporaryDirectory() as folder, Cluster(number, None, Resources(cpus=threads)) as cluster:
        content = os.path.join(folder, "content.png")
        images.write(content, scene(*size))
        units = [(content, os.path.join(folder, "%d.png" % n)) for n in range(count + 3 * WARM_UP * number)]
        ends: List[float] = []
        memory: Dict[int, int] = {}
        done: Dict[int, int] = {}
        started: Optional[float] = None
        for outcome in cluster.run(Make(model, precision), units, StylizeFile.choice):
            process, used = outcome.result
            memory[process] = max(used, memory.get(process, 0))
            done[process] = done.get(process, 0) + 1
            if started is None:
                if len(done) == number and min(done.values()) >= WARM_UP:
                    started = time.perf_counter()
            else:
                ends.append(time.perf_counter())
        # Without the last pictures, while which some workers are idle.
        ends = ends[: len(ends) - number]
        return len(ends) / (ends[-1] - (started or ends[0])), statistics.mean(memory.values())
