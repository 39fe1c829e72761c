"""The thread that subscribes and unsubscribes as a session wants it, and does what is due every second."""

import threading
import time
from typing import Any, Callable, Sequence

from ..streaming.session import StreamSession

PERIOD = 1.0  # seconds


class Housekeeping:
    """The thread.  It runs on wall time, whatever ``/use_sim_time`` says.

    Args:
        session: whose wishes count.
        cameras: each with a ``stream``, ``has_listeners()``, ``subscribe(masked=...)`` and ``unsubscribe()``.
        style_topic: with ``subscribe()`` and ``unsubscribe()``, which may be called repeatedly.
        always_subscribe: take frames even if nothing listens to the output.
        tasks: called once per `PERIOD`.
        report: called with a message if a task fails.
    """

    def __init__(
        self,
        session: StreamSession,
        cameras: Sequence[Any],
        style_topic: Any,
        always_subscribe: bool,
        tasks: Sequence[Callable[[], Any]],
        report: Callable[[str], Any],
    ) -> None:
        self._session = session
        self._cameras = cameras
        self._style_topic = style_topic
        self._always_subscribe = always_subscribe
        self._tasks = tasks
        self._report = report
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Check the subscriptions soon, because something has changed.  May be called from any thread."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread, waiting up to half a second for it.  May be called repeatedly, and at any time."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(0.5)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            self._try(self._update_subscriptions)
            if time.monotonic() >= due:
                due = time.monotonic() + PERIOD
                for task in self._tasks:
                    self._try(task)

    def _try(self, task: Callable[[], Any]) -> None:
        try:
            task()
        except Exception as error:  # the middleware may be away for a moment
            if not self._stop.is_set():
                self._report("housekeeping: %s: %r" % (task.__name__, error))

    def _update_subscriptions(self) -> None:
        """Subscribe to what the session wants, and to nothing else."""
        if self._stop.is_set():
            return
        for camera in self._cameras:
            if self._session.wants_frames(self._always_subscribe or camera.has_listeners()):
                camera.subscribe(masked=self._session.wants_masks())
            elif camera.stream.is_open:
                camera.unsubscribe()
        if self._session.wants_style_images():
            self._style_topic.subscribe()
        else:
            self._style_topic.unsubscribe()
