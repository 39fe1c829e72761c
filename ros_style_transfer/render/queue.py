"""Renders one after the other, each in a process of its own, so that nothing waits for an evaluation.

Data flow::

    RenderRequest -> add -> queue -> thread -> `python -m ros_style_transfer render --json` -> RenderResult
                                        ^                        |
                                     cancel (kill)               +-> progress, previews

A process can be killed at any moment, has its own cores and niceness, and returns its memory when it ends.

The process writes one JSON object per line to its stdout: after every iteration the fields of `renderer.Progress`
without its arrays, and ``preview``, which is true if the file of ``--preview`` was written; if it fails,
``{"error": message}`` as the last line.  It ends when its stdin is closed, and so with the process that started it.
"""

import concurrent.futures
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from typing import IO, TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..errors import OptionError, StyleTransferError
from ..media import images
from . import options as render_options

# Niceness of the render processes, by what else runs on the cores.
NICENESS = {"live_first": 15, "equal": 0}
KILL_TIMEOUT = 2.0  # seconds for a killed process to be gone
COMMAND = (sys.executable, "-m", "ros_style_transfer", "render")


def _ignore_start() -> None:
    pass


def _ignore_progress(progress: Mapping[str, Any], preview: Optional[np.ndarray]) -> None:
    pass


class RenderRequest(NamedTuple):
    """What to render.

    Attributes:
        content: uint8 RGB ``[h, w, 3]``; None only while a request is being completed.
        styles: paths of pictures.
        weights: of the styles in a mixture; empty: equal.
        size: the longer side that the content is scaled to; 0: its own.
        preset: one of `options.PRESETS`.
        options: ``{name: value}`` of `options.DESCRIPTIONS`.
        mask: path of a picture of labels; None: none.
        preview_every: iterations between previews; 0: none.
        on_start: called from the queue's thread when the turn of this request comes.
        on_progress: called from the queue's thread with the progress as a dict, and a preview, uint8 RGB, or None.
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
    """A finished render: uint8 RGB, and the last progress (see `renderer.Progress`) as a dict."""

    picture: np.ndarray
    progress: Mapping[str, Any]


if TYPE_CHECKING:
    RenderFuture = concurrent.futures.Future[RenderResult]
else:
    RenderFuture = concurrent.futures.Future


class Cancelled(StyleTransferError):
    """A render was cancelled before it was done."""


class RenderQueue:
    """Renders requests in the order in which they were added.

    Args:
        length: how many requests may wait; one more is refused at once.
        priority: one of `NICENESS`.
        threads: cores for a render; 0: all.
        command: the program that renders, see the module's description.
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
        self._thread = threading.Thread(target=self._work, name="renders", daemon=True)
        self._thread.start()

    def add(self, request: RenderRequest) -> RenderFuture:
        """A future of the request's `RenderResult`; `cancel` ends it at any time.

        Its ``result()`` raises `Cancelled`, or `StyleTransferError` with the reason of the failure.

        Raises:
            OptionError: the queue is full, or shut down.
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
            raise OptionError("%d renders wait already; try again when one is done" % self._length)

    def waiting(self) -> int:
        """How many renders wait behind the current one."""
        with self._lock:
            return sum(not future.done() for future in self._futures if future is not self._current)

    def cancel(self, future: Optional[RenderFuture] = None) -> bool:
        """End the render of ``future``, or the current one; returns whether there was one to end."""
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
        """End everything; returns when no process and no thread is left, after 2 s at most."""
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
            if not future.done():  # it may have been cancelled
                self._fulfil(request, future)
            with self._lock:
                self._current = self._process = None
            item = self._waiting.get()
        while item is not None:  # nothing may wait forever
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
        with tempfile.TemporaryDirectory(prefix="render-") as folder:
            content, output, preview = (os.path.join(folder, name + ".png") for name in ("content", "out", "preview"))
            images.write(content, request.content)
            with open(os.path.join(folder, "errors"), "w+") as errors:
                last, code = self._follow(
                    self._arguments(request, content, output, preview), errors, preview, request.on_progress
                )
                errors.seek(0)
                trace = [line.strip() for line in errors if line.strip()]
            if "error" in last:
                raise StyleTransferError(last["error"])
            if code != 0 or not last:
                raise StyleTransferError(
                    "the render process ended with code %d%s" % (code, ": " + trace[-1] if trace else " and no message")
                )
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
        """Run ``command`` and report its progress; its last line, and its exit code."""
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        with self._lock:
            if self._cancelled:
                raise Cancelled("the render was cancelled")
            # The stdin of the process is a pipe, which closes when this process ends in whatever way.
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
                pass  # the process has ended already, and its output tells why
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
