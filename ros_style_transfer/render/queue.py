"""Renders one after another, each in a process of its own, so that nothing waits for an evaluation.

Data flow::

    RenderRequest -> add -> queue -> thread -> `python -m ros_style_transfer render --json` -> RenderResult
                                        ^                        |
                                     cancel (kill)               +-> progress, previews

A process can be killed at any moment, has its own cores and niceness, and returns its memory when it ends.

The process writes one JSON object per line to its stdout: after each iteration the fields of `renderer.Progress`
without its arrays, and ``preview``, which is true if it has written the file of ``--preview``.  If the process fails,
the last line is ``{"error": message}``.  It ends when its stdin is closed, hence with the process that started it.
"""

import concurrent.futures
import contextlib
import fcntl
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np

from ..errors import OptionError, StyleTransferError
from ..media import images
from . import options as render_options

# Niceness of the render processes, by what else runs on the cores.
NICENESS = {"live_first": 15, "equal": 0}
KILL_TIMEOUT = 2.0  # seconds until a killed process must have ended
FOLDER_PREFIX = "ros_style_transfer-render-"  # of temporary folders
COMMAND = (sys.executable, "-m", "ros_style_transfer", "render")


def _ignore_start() -> None:
    """The default of `RenderRequest.on_start`."""


def _ignore_progress(progress: Mapping[str, Any], preview: Optional[np.ndarray]) -> None:
    """The default of `RenderRequest.on_progress`."""


class RenderRequest(NamedTuple):
    """What to render.

    Attributes:
        content: uint8 RGB ``[h, w, 3]``; None in a request that is still incomplete.
        styles: paths of pictures.
        weights: of the styles in a mixture; empty: equal.
        size: the longer side that the content is resized to, pixels; 0: its own.
        preset: one of `options.PRESETS`.
        options: ``{name: value}`` of `options.DESCRIPTIONS`.
        mask: path of a picture of labels, or None.
        preview_every: iterations between previews; 0: no previews.
        on_start: called by the queue's thread when the render begins.
        on_progress: called by the queue's thread with the progress as a dict, and a preview, uint8 RGB, or None.
    """

    content: Optional[np.ndarray]
    styles: Sequence[str]
    weights: Sequence[float] = ()
    size: int = 0
    preset: str = "default"
    options: Mapping[str, Any] = {}
    mask: Optional[str] = None
    preview_every: int = 0
    on_start: Callable[[], None] = _ignore_start
    on_progress: Callable[[Mapping[str, Any], Optional[np.ndarray]], None] = _ignore_progress


class RenderResult(NamedTuple):
    """A finished render: the picture, uint8 RGB, and the last progress (see `renderer.Progress`) as a dict."""

    picture: np.ndarray
    progress: Mapping[str, Any]


if TYPE_CHECKING:
    RenderFuture = concurrent.futures.Future[RenderResult]
else:
    RenderFuture = concurrent.futures.Future


class Cancelled(StyleTransferError):
    """A render was cancelled before it was finished."""


class RenderQueue:
    """Renders requests in the order in which they are added.

    Args:
        length: how many requests may wait; further ones are refused at once.
        priority: one of `NICENESS`.
        threads: cores that a render may use; 0: all.
        command: the program that renders; it follows the protocol above.
    """

    def __init__(
        self, length: int = 4, priority: str = "live_first", threads: int = 0, command: Sequence[str] = COMMAND
    ) -> None:
        self._niceness = NICENESS[priority]
        self._threads = threads
        self._length = length
        self._command = list(command)
        self._waiting: queue.Queue[Optional[Tuple[RenderRequest, RenderFuture]]] = queue.Queue()
        self._lock = threading.Lock()
        self._futures: List[RenderFuture] = []  # waiting or being rendered
        self._current: Optional[RenderFuture] = None
        self._process: Optional[subprocess.Popen[str]] = None
        self._stopped = False
        self._cancelled = False
        _remove_abandoned_folders()
        self._thread = threading.Thread(target=self._work, name="renders", daemon=True)
        self._thread.start()

    def add(self, request: RenderRequest) -> RenderFuture:
        """The future `RenderResult` of a request; `cancel` ends it at any time.

        Its ``result()`` raises `Cancelled`, or a `StyleTransferError` that tells why the render failed.

        Raises:
            OptionError: the queue is full or shut down.
        """
        future: RenderFuture = concurrent.futures.Future()
        with self._lock:
            self._check_room()
            self._futures.append(future)
        self._waiting.put((request, future))
        return future

    def check_room(self) -> None:
        """Raise the `OptionError` that `add` would raise."""
        with self._lock:
            self._check_room()

    def _check_room(self) -> None:
        if self._stopped:
            raise OptionError("no more renders are accepted: shutting down")
        self._futures = [future for future in self._futures if not future.done()]
        if len(self._futures) > self._length:
            raise OptionError("%d renders are already waiting; try again when one has finished" % self._length)

    def waiting(self) -> int:
        """The number of renders that wait behind the current one."""
        with self._lock:
            return sum(not future.done() for future in self._futures if future is not self._current)

    def cancel(self, future: Optional[RenderFuture] = None) -> bool:
        """Cancel the render of ``future``, or the current one; returns whether there was one to cancel."""
        with self._lock:
            if future is not None and future is not self._current:
                if future.done():
                    return False
                future.set_exception(Cancelled("the render was cancelled before its turn"))
                return True
            if self._current is None:
                return False
            self._cancelled = True
            self._kill()
            return True

    def shutdown(self) -> None:
        """Cancel all renders; returns when their process and the thread have ended, after `KILL_TIMEOUT` at most."""
        with self._lock:
            self._stopped = self._cancelled = True
            self._kill()
        self._waiting.put(None)
        self._thread.join(KILL_TIMEOUT)

    def _kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    # --- the thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        item = self._waiting.get()
        while item is not None and not self._stopped:
            request, future = item
            with self._lock:
                self._current = future
                self._cancelled = self._stopped
            if not future.done():  # a cancelled one is
                self._fulfil(request, future)
            with self._lock:
                self._current = self._process = None
            item = self._waiting.get()
        while item is not None:  # cancel those that still wait
            if not item[1].done():
                item[1].set_exception(Cancelled("the render was cancelled: shutting down"))
            item = self._waiting.get()

    def _fulfil(self, request: RenderRequest, future: RenderFuture) -> None:
        try:
            request.on_start()
            result = self._render(request)
        except StyleTransferError as error:
            future.set_exception(Cancelled("the render was cancelled") if self._cancelled else error)
        except Exception as error:  # one request must not end the queue
            future.set_exception(StyleTransferError("the render failed: %s" % error))
        else:
            future.set_result(result)

    def _render(self, request: RenderRequest) -> RenderResult:
        render_options.check(render_options.options_from(request.options, request.preset))
        with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as folder, _locked(folder):
            content, output, preview = (os.path.join(folder, name + ".png") for name in ("content", "out", "preview"))
            images.check(request.content)
            images.write(content, request.content)  # type: ignore[arg-type]
            with open(os.path.join(folder, "errors"), "w+") as errors:
                last, code = self._follow(
                    self._arguments(request, content, output, preview), errors, preview, request.on_progress
                )
                errors.seek(0)
                messages = [line.strip() for line in errors if line.strip()]
            if "error" in last:
                raise StyleTransferError(last["error"])
            if code != 0 or not last:  # it crashed
                reason = ": " + messages[-1] if messages else " without a message"
                raise StyleTransferError("the render process ended with code %d%s" % (code, reason))
            return RenderResult(images.read(output), last)

    def _arguments(self, request: RenderRequest, content: str, output: str, preview: str) -> List[str]:
        """The command of a request."""
        command = [
            *self._command,
            content,
            "--style",
            *request.styles,
            "-o",
            output,
            "--preset",
            request.preset,
            "--json",
            "--no-checkpoint",
        ]
        if request.weights:
            command += ["--style-weights", *map(str, request.weights)]
        for name, value in (("size", request.size), ("mask", request.mask), ("threads", self._threads)):
            if value:
                command += ["--" + name, str(value)]
        for name, value in request.options.items():
            command += ["--%s=%s" % (name.replace("_", "-"), value)]
        if request.preview_every:
            command += ["--preview", preview, "--every", str(request.preview_every)]
        return command

    def _follow(
        self,
        command: Sequence[str],
        errors: IO[str],
        preview: str,
        on_progress: Callable[[Mapping[str, Any], Optional[np.ndarray]], None],
    ) -> Tuple[Dict[str, Any], int]:
        """Run ``command`` and report its progress; returns the object of its last line, and its exit code."""
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        with self._lock:
            if self._cancelled:
                raise Cancelled("the render was cancelled")
            # The stdin of the process is a pipe, which is closed when this process ends, even if it is killed.
            self._process = process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                universal_newlines=True,
                env=environment,
            )
            try:
                os.setpriority(os.PRIO_PROCESS, process.pid, self._niceness)
            except OSError:
                pass  # the process has already ended, and its output tells why
        last: Dict[str, Any] = {}
        with process:
            assert process.stdout is not None
            for record in filter(None, map(_parse, process.stdout)):
                last = record
                if "error" not in record:
                    on_progress(record, images.read(preview) if record.get("preview") else None)
        if process.returncode == -signal.SIGKILL and not self._cancelled:
            raise StyleTransferError("the render process was killed, probably out of memory; reduce size or max_memory")
        return last, process.returncode


def _parse(line: str) -> Dict[str, Any]:
    """The object of a line; empty for a line that a library has printed."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Hold a lock on ``folder``, which is released when this process ends, even if it is killed.

    Raises:
        OSError: another process holds the lock.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _remove_abandoned_folders() -> None:
    """Remove the temporary folders of processes that were killed during a render."""
    for entry in os.scandir(tempfile.gettempdir()):
        if entry.name.startswith(FOLDER_PREFIX):
            with contextlib.suppress(OSError), _locked(entry.path):
                shutil.rmtree(entry.path)
