"""Renders one after the other, each in a process of its own: whoever asks never waits for an evaluation.

Data flow::

    RenderRequest -> add -> queue -> thread -> `python -m ros_style_transfer render --json` -> RenderResult
                                        ^                        |
                                     cancel (kill)               +-> progress, previews

A process can be killed at any moment, has its own cores and niceness, and gives its memory back.
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
from typing import Any, Callable, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from ..errors import OptionError, StyleTransferError
from ..media import images

# How a render shares the cores with whatever else runs: its niceness.
SHARES = {"live_first": 15, "equal": 0}
PATIENCE = 2.0  # seconds for a killed process to be gone


class RenderRequest(NamedTuple):
    """What is to be rendered.

    Attributes:
        content: uint8 RGB ``[h, w, 3]``.
        styles: paths of pictures.
        weights: of the styles in a mixture; empty: equal.
        size: the longer side that the content is scaled to; 0: its own.
        preset: one of `options.PRESETS`.
        options: ``{name: value}`` of `options.DESCRIPTIONS`.
        mask: path of a picture of labels; None: none.
        preview_every: iterations between previews; 0: none.
        begun: (), called from the queue's thread when its turn comes.
        told: (progress as a dict, preview uint8 RGB or None), called from the queue's thread.
    """

    content: np.ndarray
    styles: Sequence[str]
    weights: Sequence[float] = ()
    size: int = 0
    preset: str = "default"
    options: Mapping[str, Any] = {}
    mask: Optional[str] = None
    preview_every: int = 0
    begun: Callable[[], None] = lambda: None
    told: Callable[[Mapping[str, Any], Optional[np.ndarray]], None] = lambda progress, preview: None


class RenderResult(NamedTuple):
    """A finished render: uint8 RGB, and the last progress (see `renderer.Progress`) as a dict."""

    picture: np.ndarray
    progress: Mapping[str, Any]


class Cancelled(StyleTransferError):
    """A render was cancelled before it was done."""


class RenderQueue:
    """Renders what is added, in this order.

    Args:
        length: how many may wait; one more is refused at once.
        share: one of `SHARES`.
        threads: cores for a render; 0: all.
    """

    def __init__(self, length=4, share="live_first", threads=0):
        self._share, self._threads, self._length = SHARES[share], threads, length
        self._waiting = queue.Queue()
        self._lock = threading.Lock()
        self._futures = []  # of those that wait or are rendered
        self._current, self._process = None, None
        self._stopped = self._cancelled = False
        self._thread = threading.Thread(target=self._work, name="renders", daemon=True)
        self._thread.start()

    def add(self, request):
        """A `concurrent.futures.Future` of the request's `RenderResult`; `cancel` ends it at any time.

        Its ``result()`` raises `Cancelled`, or `StyleTransferError` saying what went wrong.

        Raises:
            OptionError: the queue is full, or shut down.
        """
        future = concurrent.futures.Future()
        with self._lock:
            self._check_room()
            self._futures.append(future)
        self._waiting.put((request, future))
        return future

    def check_room(self):
        """Raise the `OptionError` that `add` would raise."""
        with self._lock:
            self._check_room()

    def _check_room(self):
        if self._stopped:
            raise OptionError("no more renders are taken: shutting down")
        self._futures = [future for future in self._futures if not future.done()]
        if len(self._futures) > self._length:
            raise OptionError("%d renders wait already; try again when one is done" % self._length)

    def waiting(self):
        """How many renders wait behind the current one."""
        with self._lock:
            return sum(not future.done() for future in self._futures if future is not self._current)

    def cancel(self, future=None):
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

    def shutdown(self):
        """End everything; returns when no process and no thread is left, 2 s at most."""
        with self._lock:
            self._stopped = self._cancelled = True
            self._kill()
        self._waiting.put(None)
        self._thread.join(PATIENCE)

    def _kill(self):
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    def _work(self):
        while True:
            item = self._waiting.get()
            if self._stopped:
                break
            request, future = item
            with self._lock:
                self._current, self._cancelled = future, self._stopped
            if not future.done():  # it may have been cancelled
                try:
                    request.begun()
                    result = self._render(request)
                except StyleTransferError as problem:
                    future.set_exception(Cancelled("the render was cancelled") if self._cancelled else problem)
                except Exception as problem:  # one request never ends the queue
                    future.set_exception(StyleTransferError("the render failed: %s" % problem))
                else:
                    future.set_result(result)
            with self._lock:
                self._current, self._process = None, None
        while item is not None:  # nobody is left waiting for an answer
            if not item[1].done():
                item[1].set_exception(Cancelled("the render was cancelled: shutting down"))
            item = self._waiting.get()

    def _render(self, request):
        with tempfile.TemporaryDirectory(prefix="render-") as folder:
            content, output, preview = (os.path.join(folder, name + ".png") for name in ("content", "out", "preview"))
            images.write(content, request.content)
            command = [sys.executable, "-m", "ros_style_transfer", "render", content, "--style", *request.styles,
                       "-o", output, "--preset", request.preset, "--json"]
            for name, value in (("style-weights", list(request.weights)), ("size", request.size),
                                ("mask", request.mask), ("threads", self._threads)):
                if value:
                    command += ["--" + name, *map(str, value if isinstance(value, list) else [value])]
            for name, value in request.options.items():
                command += ["--%s=%s" % (name.replace("_", "-"), value)]
            if request.preview_every:
                command += ["--preview", preview, "--every", str(request.preview_every)]
            with open(os.path.join(folder, "errors"), "w+") as errors:
                progress = self._follow(command, errors, preview, request.told)
                errors.seek(0)
                said = [line.strip() for line in errors if line.strip()]
            if progress is None:
                raise StyleTransferError(said[-1].partition("ros_style_transfer: ")[2] or said[-1] if said
                                         else "the render ended without a word")
            return RenderResult(images.read(output), progress)

    def _follow(self, command, errors, preview, told):
        """Run ``command`` and pass on what it says; the last progress, or None if it failed."""
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
        with self._lock:
            if self._cancelled:
                return None
            # Its stdin is a pipe that closes when this process is gone, however it went.
            self._process = process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, universal_newlines=True,
                env=environment)
            try:
                os.setpriority(os.PRIO_PROCESS, process.pid, self._share)
            except OSError:
                pass  # it was quicker: it ended at once, and says why
        progress = None
        with process:
            for line in process.stdout:
                try:
                    progress = json.loads(line)
                except ValueError:
                    continue  # a library's greeting
                shown = None
                if progress.get("preview"):
                    shown = images.read(preview)
                told(progress, shown)
        if process.returncode == -signal.SIGKILL and not self._cancelled:
            raise StyleTransferError("the render's process was killed, most likely for want of memory; choose a "
                                     "smaller size or max_memory")
        return progress if process.returncode == 0 else None
