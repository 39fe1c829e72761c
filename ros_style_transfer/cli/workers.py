"""Jobs on many workers (`cluster`): the options, the division of long files, and progress.

Data flow::

    jobs -> cluster.Cluster -> a picture: written by its worker
                            -> a long video or bag: Divided -> Part, Part, ... -> Join -> written
"""

import argparse
import functools
import math
import os
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from tqdm import tqdm

from ..cluster import MEGABYTE, Cluster, Outcome, Resources
from ..controls import check_range
from ..resources import available_cores
from ..transfer.temporal import MAX_WEIGHT
from . import common
from .manifest import Manifest, Result

PARTS = ".parts"  # suffix of the folder of a result's parts
SEGMENT = 20.0  # seconds
# Frames before a segment that are stylized, too: until what smoothing keeps of the one before them is this fraction.
FORGOTTEN = 0.02


class Part(NamedTuple):
    """A segment of a video or bag, stylized into a file of its own.

    Attributes:
        whole: the job that it is a part of.
        path: to write.
        first: where the segment begins.
        stop: where the next one begins; None: at the end.
        number: of the segment.
    """

    whole: Any
    path: str
    first: Any
    stop: Any
    number: int

    @property
    def output(self) -> str:
        """The path of the whole result."""
        return self.whole.output


class Join(NamedTuple):
    """All parts of a job are there: make one result of them."""

    whole: Any
    paths: Sequence[str]

    @property
    def output(self) -> str:
        """The path of the result."""
        return self.whole.output


class Divided(NamedTuple):
    """What a worker answers to a job that is worth dividing.

    Attributes:
        parts: the parts that remain to be done.
        join: the unit that follows them.
        frames: of the remaining parts, approximately.
    """

    parts: Sequence[Part]
    join: Join
    frames: int


def add_options(parser: Any, segments: bool = True) -> None:
    """Add the options of workers to the parser of a command.

    Args:
        segments: whether the command divides long files.
    """
    group = parser.add_argument_group("several processes or machines (needs Ray)")
    group.add_argument("--workers", type=int, metavar="N", help="processes to work in; each loads the model")
    group.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="work on the machines of a running Ray cluster: auto, HOST:PORT or ray://HOST:PORT",
    )
    group.add_argument(
        "--cpus-per-worker",
        type=int,
        metavar="N",
        help="cores of each worker (default: 1; without --ray: a fair share)",
    )
    group.add_argument(
        "--gpus-per-worker", type=float, metavar="N", help="GPUs of each worker, also fractions (default: 0)"
    )
    if segments:
        group.add_argument(
            "--segment",
            type=float,
            metavar="SECONDS",
            help="divide longer videos and bags into parts of this length (default: %g)" % SEGMENT,
        )


def are_wanted(args: argparse.Namespace) -> bool:
    """Whether the command line asks for workers; checks their options.

    Raises:
        OptionError: one is out of range, or has no effect.
    """
    wanted = args.workers is not None or args.ray is not None
    common.reject_ineffective(
        args,
        (
            (not wanted, "cpus_per_worker gpus_per_worker", "needs --workers or --ray"),
            (not wanted and "segment" in args, "segment", "needs --workers or --ray"),
        ),
    )
    for name, low, high in (
        ("workers", 1, 10000),
        ("cpus_per_worker", 1, 1024),
        ("gpus_per_worker", 0.0, 64.0),
        ("segment", 0.1, 86400.0),
    ):
        if getattr(args, name, None) is not None:
            check_range(common.option_of(name), getattr(args, name), low, high)
    return wanted


def segment_seconds(args: argparse.Namespace) -> float:
    """The length of parts."""
    return args.segment or SEGMENT


def lead(smoothing: float) -> int:
    """The frames before a segment that must be stylized for its first one to look as if all were.

    Args:
        smoothing: the control.
    """
    return math.ceil(math.log(FORGOTTEN) / math.log(smoothing * MAX_WEIGHT)) if smoothing else 0


def remaining_parts(
    args: argparse.Namespace,
    options: Mapping[str, Any],
    job: Any,
    limits: Sequence[Any],
    inputs: Sequence[str],
    ending: str,
) -> Tuple[List[Part], Join]:
    """The parts of a job that are not yet done, and the unit that joins all.

    Args:
        options: that the result depends on.
        limits: where each segment begins.
        inputs: paths of the files that the job reads.
        ending: of the parts' names.

    Raises:
        OptionError: parts of other options are there.
    """
    folder = job.output + PARTS
    paths = [os.path.join(folder, "%05d%s" % (n, ending)) for n in range(len(limits))]
    parts = [
        Part(job, path, first, stop, number)
        for number, (path, first, stop) in enumerate(zip(paths, limits, [*limits[1:], None]))
    ]
    manifest = parts_manifest(args, options, job)
    remain = manifest.remaining([Result(path, inputs) for path in paths], args.overwrite)
    return [part for part, remains in zip(parts, remain) if remains], Join(job, paths)


def parts_manifest(args: argparse.Namespace, options: Mapping[str, Any], job: Any) -> Manifest:
    """The record of the parts of a job."""
    return Manifest(job.output + PARTS, dict(options, segment=segment_seconds(args)))


def run(
    args: argparse.Namespace,
    jobs: Sequence[Any],
    options: Mapping[str, Any],
    record: Optional[Manifest],
    result: Callable[[Any], Result],
    make: Callable[..., Any],
    choice: Any,
    unit: str,
    divisible: bool,
) -> Dict[str, str]:
    """Do all jobs on workers; returns ``{output: reason}`` of those that failed.  For the arguments see `batch.run`."""
    cpus = args.cpus_per_worker
    if cpus is None:
        cpus = 1 if args.ray else max(1, available_cores() // args.workers)
    memory = float(getattr(args, "max_memory", None) or 0) * MEGABYTE
    folder = os.path.dirname(os.path.abspath(jobs[0].output))
    os.makedirs(folder, exist_ok=True)
    if args.precision not in (None, "auto"):
        choice = args.precision
    progress = Progress(args, options, record, result)
    with Cluster(args.workers, args.ray, Resources(cpus, args.gpus_per_worker or 0.0, memory)) as cluster:
        cluster.check_machines([path for job in jobs for path in result(job).inputs], folder)
        if cluster.has_unused_gpus():
            common.print_message("the GPUs stay unused; --gpus-per-worker gives them to workers")
        with tqdm(total=len(jobs), unit=unit) as bar:
            try:
                for outcome in cluster.run(functools.partial(_make, make), jobs, choice, divisible):
                    progress.take(outcome, cluster, bar)
                    bar.set_postfix(workers=cluster.running)
            except KeyboardInterrupt:
                common.print_message("stopped; the same command continues")
                raise
    return progress.failures


def _make(make: Callable[..., Any], choice: Any, memory: float, notify: Callable[[str], Any]) -> Any:
    """The task of a worker."""
    return make(choice, memory, notify, True)


class Progress:
    """What has been done and recorded, what failed, and what follows.

    Attributes:
        failures: ``{output: reason}``.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        options: Mapping[str, Any],
        record: Optional[Manifest],
        result: Callable[[Any], Result],
    ) -> None:
        self._args, self._options, self._record, self._result = args, options, record, result
        self.failures: Dict[str, str] = {}
        self._joins: Dict[int, List[Any]] = {}  # {identity of a part: [number of parts that remain, what joins them]}
        self._parts: Dict[str, Manifest] = {}  # by output

    def take(self, outcome: Outcome, cluster: Cluster, bar: Any) -> None:
        """Note what became of a unit, and add the units that follow it."""
        unit, result = outcome.unit, outcome.result
        for note in outcome.notes:
            common.print_message(note)
        if outcome.error:
            bar.update(unit.output not in self.failures)
            self.failures.setdefault(unit.output, outcome.error)
            common.print_message(describe_failure(unit.output, outcome.error))
        elif isinstance(result, Divided):
            self._begin_parts(unit, result, cluster.choice)
            state = [len(result.parts), result.join]
            self._joins.update((id(part), state) for part in result.parts)
            for follower in reversed(result.parts or [result.join]):
                cluster.add(follower)
            bar.total += result.frames - 1
            bar.refresh()
        else:
            self._keep(unit, cluster.choice)
            if not isinstance(unit, (Part, Join)):
                bar.total += result - 1  # a video or a bag that was not divided
            bar.update(result)
        state = self._joins.pop(id(unit), [])
        if state:
            state[0] -= 1
            if not state[0] and unit.output not in self.failures:
                cluster.add(state[1])

    def _begin_parts(self, job: Any, divided: Divided, choice: Any) -> None:
        record = parts_manifest(self._args, self._options, job)
        record.begin([Result(part.path, ()) for part in divided.parts], choice)
        self._parts[job.output] = record

    def _keep(self, unit: Any, choice: Any) -> None:
        """Record a file that has been written."""
        if isinstance(unit, Part):
            self._parts[unit.output].add(Result(unit.path, self._result(unit.whole).inputs), choice)
            return
        self._parts.pop(unit.output, None)
        if self._record:
            self._record.add(self._result(unit.whole if isinstance(unit, Join) else unit), choice)


def describe_failure(output: str, reason: str) -> str:
    """A sentence that names the file."""
    return reason if os.path.basename(output) in reason else "%s: %s" % (output, reason)
