"""Workers on one machine or on several, by Ray: it places them, restarts those that die and repeats what they did.

Data flow::

    units (paths, never pixels) -> Cluster.run -> Worker, a process with its own model -> Outcome

Ray is an optional dependency (``pip install ray``), imported when a `Cluster` is made.
"""

import collections
import contextlib
import logging
import math
import os
import signal
import threading
import uuid
import warnings
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from . import __version__, environment
from .errors import ClusterError, StyleTransferError

RETRIES = 3  # times that a unit is repeated after its worker died; a unit may be what kills workers
OBJECT_STORE = 80 * 2**20  # bytes, Ray's minimum: only paths travel
MEGABYTE = 1e6
_PACKAGE = os.path.dirname(os.path.abspath(__file__))


class Outcome(NamedTuple):
    """What became of a unit.

    Attributes:
        unit: as it was given to `Cluster.run`.
        result: what the worker's task returned; None after an error.
        error: why there is no result; empty if there is one.
        notes: sentences for the user.
    """

    unit: Any
    result: Any
    error: str = ""
    notes: Sequence[str] = ()


class Resources(NamedTuple):
    """What each worker gets.

    Attributes:
        cpus: cores; TensorFlow computes in as many threads.
        gpus: GPUs, also fractions.
        memory: bytes, a bound for the worker and for Ray's placement; 0: an equal share of its machine's memory.
    """

    cpus: int = 1
    gpus: float = 0.0
    memory: float = 0.0

    def places(self, node: Dict[str, float]) -> int:
        """The number of workers that a machine with the resources ``node`` has room for."""
        places = node.get("CPU", 0) // self.cpus
        if self.gpus:
            places = min(places, math.floor(node.get("GPU", 0) / self.gpus + 1e-9))
        if self.memory:
            places = min(places, node.get("memory", 0) // self.memory)
        return int(places)


class Worker:
    """An actor: a task with its model, in a process of its own.

    Args:
        make: (choice, memory in megabytes, notify) to the task, a callable that does a unit.  Its attribute ``choice``
            is what it chose by itself; the others are made with that choice.
        threads: in which TensorFlow computes.
        memory: megabytes.
    """

    def __init__(self, make: Callable[..., Any], threads: int, memory: float) -> None:
        environment.leave_out_keras()
        environment.hide_notes()
        self._make, self._threads, self._memory = make, threads, memory
        self._task: Any = None
        self._notes: List[str] = []

    def start(self, choice: Any) -> Any:
        """Load the model; returns the task's choice."""
        if self._task is None:
            import cv2

            from .models.device import set_thread_count  # TensorFlow is imported in the worker only

            set_thread_count(self._threads)
            cv2.setNumThreads(self._threads)
            self._task = self._make(choice, self._memory, self._notes.append)
        return self._task.choice

    def work(self, unit: Any, choice: Any) -> Outcome:
        """Do a unit.  No error of a unit ends the worker."""
        self._notes.clear()
        try:
            with warnings.catch_warnings():
                warnings.showwarning = lambda message, *_: self._notes.append(str(message))
                self.start(choice)  # again, if Ray has restarted this worker
                return Outcome(None, self._task(unit), "", self._notes)
        except MemoryError:
            return Outcome(None, None, "not enough memory; make it smaller", self._notes)
        except StyleTransferError as error:
            return Outcome(None, None, str(error), self._notes)
        except Exception as error:  # whatever a file makes a library raise; the first line is enough for a user
            reason = (str(error).splitlines() or [""])[0]
            return Outcome(None, None, "%s: %s" % (type(error).__name__, reason), self._notes)


class Cluster:
    """Ray, started on this machine for the purpose or running already.  A context manager.

    Args:
        workers: the largest number of workers; None: as many as there is room for.
        address: of a Ray that runs: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``; None: start one here.
        resources: what each worker gets.

    Attributes:
        workers: the number of workers that there is room for, at most ``workers``.
        running: the number of workers that have started.
        choice: what the first worker chose, see `Worker`.

    Raises:
        ClusterError: Ray is missing, cannot be reached, or has no room for a worker.
    """

    def __init__(self, workers: Optional[int], address: Optional[str], resources: Resources) -> None:
        self._ray, self._address, self._resources = _import_ray(), address, resources
        self.running, self.choice = 0, None
        self._queue: Deque[Any] = collections.deque()
        self._connect(workers)
        try:
            self._nodes = [node for node in self._ray.nodes() if node["Alive"]]
            places = [resources.places(node["Resources"]) for node in self._nodes]
            if not sum(places):
                raise ClusterError(self._no_room())
            self.workers = min(sum(places), workers or sum(places))
            shares = [node["Resources"]["memory"] / n for node, n in zip(self._nodes, places) if n]
            self._memory = resources.memory or min(shares)
        except BaseException:
            self.__exit__()
            raise

    def _connect(self, workers: Optional[int]) -> None:
        options: Dict[str, Any] = dict(logging_level=logging.ERROR, log_to_driver=False)
        if self._address is None:
            os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # or Ray would report its use over the network
            # The workers shall find this package where this process has found it.
            paths = [os.path.dirname(_PACKAGE), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
            os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
            count = (workers or 1) * self._resources.cpus
            options.update(num_cpus=count, include_dashboard=False, object_store_memory=OBJECT_STORE)
        try:
            with _kept_signal_handlers():
                self._ray.init(address=self._address or "local", **options)
        except Exception as error:  # ConnectionError, RuntimeError (other versions), ValueError (no address), ...
            raise ClusterError(
                "cannot %s: %s"
                % (
                    "start Ray" if self._address is None else "join the Ray at %s" % self._address,
                    (str(error).strip().splitlines() or [repr(error)])[0],
                )
            ) from None

    def _no_room(self) -> str:
        wanted = "%d CPUs" % self._resources.cpus
        if self._resources.gpus:
            wanted += " and %g GPUs" % self._resources.gpus
        if self._resources.memory:
            wanted += " and %d MB" % (self._resources.memory / MEGABYTE)
        return "no machine has room for a worker with %s; there are: %s" % (
            wanted,
            "; ".join(
                "%s with %g CPUs, %g GPUs, %d MB"
                % (_name(node), found.get("CPU", 0), found.get("GPU", 0), found.get("memory", 0) / MEGABYTE)
                for node in self._nodes
                for found in [node["Resources"]]
            ),
        )

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: Any) -> None:
        self._ray.shutdown()

    def has_unused_gpus(self) -> bool:
        """Whether there are GPUs that no worker uses."""
        return not self._resources.gpus and any(node["Resources"].get("GPU") for node in self._nodes)

    def check_machines(self, paths: Iterable[str], folder: str) -> None:
        """Raise unless each machine has this package, sees the same files as this one, and can write results.

        Args:
            paths: of inputs.  One file of each folder is looked at.
            folder: for results; it exists.

        Raises:
            ClusterError: a machine differs; says how.
        """
        if self._address is None:
            return
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [node for node in self._nodes if self._resources.places(node["Resources"])]
        examples = {os.path.dirname(path): path for path in map(os.path.abspath, paths)}
        token = os.path.join(os.path.abspath(folder), ".visible-%s" % uuid.uuid4().hex)
        open(token, "w").close()
        try:
            found = [(path, _size(path)) for path in sorted(examples.values())]
            look = self._ray.remote(_look)
            answers = [
                look.options(
                    num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                ).remote(__version__, found, token)
                for node in nodes
            ]
            for name, answer in zip(map(_name, nodes), answers):
                try:
                    problem = self._ray.get(answer)
                except Exception as error:
                    problem = _missing_package(error)
                if problem:
                    raise ClusterError("the machine %s %s" % (name, problem))
        finally:
            if os.path.exists(token):
                os.remove(token)

    def add(self, unit: Any) -> None:
        """Another unit for the `run` that is going on, before all that wait."""
        self._queue.appendleft(unit)

    def run(
        self, make: Callable[..., Any], units: Sequence[Any], choice: Any = None, divisible: bool = False
    ) -> Iterator[Outcome]:
        """Do all units; yields each `Outcome` as soon as it is there.

        A worker has one unit at a time: if it dies, only that one is repeated.  A worker with nothing to do is let go,
        so that one whose machine was lost finds room.

        Args:
            make: see `Worker`.
            units: what the tasks take.
            choice: see `Worker`; None: the first worker chooses.
            divisible: whether the outcomes of units may lead to others, by `add`.

        Raises:
            ClusterError: a worker cannot start.
        """
        self._queue, self.choice, self.running = collections.deque(units), choice, 0
        undivided = {id(unit) for unit in units} if divisible else set()
        options = dict(num_cpus=self._resources.cpus, num_gpus=self._resources.gpus, memory=int(self._memory))
        actor_class = self._ray.remote(Worker).options(max_restarts=-1, max_task_retries=RETRIES, **options)
        idle: List[Any] = []
        starting: Dict[Any, Any] = {}  # {reference: worker}
        working: Dict[Any, Tuple[Any, Any]] = {}  # {reference: (worker, unit)}
        while self._queue or working:
            while self._queue and idle:
                worker, unit = idle.pop(), self._queue.popleft()
                working[worker.work.remote(unit, self.choice)] = worker, unit
            if not undivided:
                self.running -= len(idle)
                idle.clear()  # Ray ends a worker that nothing refers to
            wanted = len(self._queue) + len(working)
            wanted = min(1 if self.choice is None else self.workers, self.workers if undivided else wanted)
            while len(starting) + len(working) + len(idle) < wanted:
                worker = actor_class.remote(make, self._resources.cpus, self._memory / MEGABYTE)
                starting[worker.start.remote(self.choice)] = worker
            worker = None
            (done,), _ = self._ray.wait([*working, *starting], num_returns=1)
            if done in starting:
                idle.append(starting.pop(done))
                self.choice = self._started(done)
                self.running += 1
            else:
                worker, unit = working.pop(done)
                idle.append(worker)
                worker = None
                outcome = self._outcome(done, unit)
                yield outcome
                undivided.discard(id(unit))

    def _started(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except Exception as error:
            cause = getattr(error, "cause", None)
            reason = str(cause) if isinstance(cause, StyleTransferError) else _missing_package(error)
            raise ClusterError("a worker cannot start: it %s" % reason) from None

    def _outcome(self, reference: Any, unit: Any) -> Outcome:
        try:
            return self._ray.get(reference)._replace(unit=unit)
        except self._ray.exceptions.RayActorError:
            return Outcome(
                unit, None, "its worker died %d times; is it out of memory? (--max-memory limits it)" % (RETRIES + 1)
            )
        except self._ray.exceptions.RayError as error:
            return Outcome(unit, None, str(error).splitlines()[0])


@contextlib.contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Install the program's handlers again afterwards: Ray replaces them by one that prints addresses and aborts."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's future behaviour, or it warns
    try:
        import ray
    except ImportError:
        raise ClusterError(
            "--workers and --ray need Ray, which is not installed: pip install 'ros_style_transfer[ray]'"
        ) from None
    return ray


def _name(node: Dict[str, Any]) -> str:
    return "%s (%s)" % (node.get("NodeManagerHostname", "?"), node["NodeManagerAddress"])


def _size(path: str) -> int:
    """The size of a file in bytes; -1 if it cannot be seen."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _look(version: str, files: Sequence[Tuple[str, int]], token: str) -> str:
    """What a machine lacks that the workers need; empty: nothing.  Runs there."""
    if __version__ != version:
        return "has ros_style_transfer %s, but this one has %s; install the same" % (__version__, version)
    for path, size in files:
        if _size(path) != size:
            return (
                "does not see the same %s as this one; keep inputs and outputs in a folder that all machines mount at "
                "the same path (NFS, for example)" % path
            )
    folder = os.path.dirname(token)
    if not os.path.exists(token):
        return (
            "does not see the same folder %s as this one; let -o be in a folder that all machines mount at the same "
            "path (NFS, for example)" % folder
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        return "may not write to %s" % folder
    return ""


def _missing_package(error: Exception) -> str:
    text = str(error)
    if "No module named" in text:
        module = text.split("No module named", 1)[1].split("\n")[0].strip(" '\".")
        return "lacks the Python package %s; install the same packages on all machines" % module
    return "failed: %s" % (text.strip().splitlines() or [repr(error)])[-1]
