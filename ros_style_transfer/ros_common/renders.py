"""Renders on request: what the service ``~render`` and the action ``~render_action`` do, over one `RenderQueue`.

Data flow::

    ~render ---------+                                          +-> the answer, the action's result
                     +-> content, RenderRequest -> RenderQueue -+-> ~render/image, a file below ~output_dir
    ~render_action --+   (or the next frame)                    +-> ~render/progress, ~render/preview, feedback

Each request has a thread that waits for it; the work itself runs in the processes of the queue.  Messages are taken
and filled in by their fields, which are the same in ROS 1 and ROS 2, and those of service and action are, too.
"""

import logging
import queue
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

import numpy as np

from ..controls import CONTROLS, check_range, check_styles, current_name
from ..errors import ImageError, OptionError, StyleError, StyleTransferError
from ..media import images
from ..media.images import MAX_SIDE, MIN_SIDE
from ..render import options as render_options
from ..render import queue as render_queue
from ..render.queue import Cancelled, RenderQueue
from ..streaming.appearance import CAMERA, TOPIC, check_style_count
from ..streaming.session import StreamSession
from ..transfer import masks
from . import conversions
from .conversions import to_text

# Options that are fields of a request, where 0 means "not given".
_NUMBER_FIELDS = ("content_weight", "style_weight", "tv_weight", "iterations", "time_budget")
# Options that renders share with the stream: those in force apply unless a request says otherwise.
_SHARED_CONTROLS = [name for name in render_options.RenderOptions._fields if name in CONTROLS]


class RenderCallbacks(NamedTuple):
    """What a middleware does for renders.

    Attributes:
        new_progress: a new RenderProgress.
        new_image: a new, empty Image.
        to_rgb: the picture of an Image.
        to_message: a picture and a header as an Image.
        publish_progress, publish_preview, publish_image: publish a message.
        subscribe: calls the given function with each frame of the camera until the function that it returns is called.
        no_frame: why there is no frame, for people, called with the seconds that were waited.
    """

    new_progress: Callable[[], Any]
    new_image: Callable[[], Any]
    to_rgb: Callable[[Any], np.ndarray]
    to_message: Callable[[np.ndarray, Any], Any]
    publish_progress: Callable[[Any], Any]
    publish_preview: Callable[[Any], Any]
    publish_image: Callable[[Any], Any]
    subscribe: Callable[[Callable[[Any], Any]], Callable[[], Any]]
    no_frame: Callable[[float], str]


class RenderHandle:
    """The state of a request that is being worked on.

    Args:
        on_start: called when its turn comes.
        on_progress: called with a RenderProgress and a preview after every iteration.

    Attributes:
        started: set when its turn has come.
        cancelled: set when it was cancelled.
        queued: set when it is in the queue, refused, or waits for a frame.
        future: of the queue, once it is there.
    """

    def __init__(
        self,
        on_start: Callable[[], Any] = lambda: None,
        on_progress: Callable[[Any, Any], Any] = lambda progress, preview: None,
    ) -> None:
        self._on_start = on_start
        self.on_progress = on_progress
        self.started = threading.Event()
        self.cancelled = threading.Event()
        self.queued = threading.Event()
        self.future: Optional[render_queue.RenderFuture] = None

    def start(self) -> None:
        """The turn of the request has come."""
        self.started.set()
        self._on_start()


class Renders:
    """The renders of a node.  `start` makes the queue, `shutdown` ends everything.

    Args:
        parameters: `params.Parameters`.
        session: whose styles are used.
        callbacks: `RenderCallbacks`.
        logger: where finished and refused renders are logged.
    """

    def __init__(
        self, parameters: Any, session: StreamSession, callbacks: RenderCallbacks, logger: logging.Logger
    ) -> None:
        self._parameters = parameters
        self._session = session
        self._callbacks = callbacks
        self._logger = logger
        self._stop = threading.Event()
        self._newest_goal: Optional[RenderHandle] = None
        self._threads: List[threading.Thread] = []
        self._path_lock = threading.Lock()
        self._reserved_paths: Set[str] = set()  # of results that are still being rendered
        self._queue: Optional[RenderQueue] = None

    def start(self) -> None:
        """Accept requests from now on."""
        self._queue = RenderQueue(priority=self._parameters.render_share)

    def shutdown(self) -> None:
        """End the renders and the threads that wait for them; returns when they have ended, after 3 s at most."""
        self._stop.set()
        if self._queue is not None:
            self._queue.shutdown()
        for thread in list(self._threads):
            thread.join(0.5)

    def submit(
        self, request: Any, response: Any, handle: RenderHandle, finish: Callable[[Optional[Exception]], Any]
    ) -> None:
        """Work on a request in a thread of its own, after those that were submitted before.

        Args:
            request: of the service, or the action's goal.
            response: is filled in: of the service, or the action's result.
            finish: called with the error that prevented success, or None.
        """
        previous, self._newest_goal = self._newest_goal, handle

        def work() -> None:
            if previous is not None:
                previous.queued.wait()  # requests are queued in the order in which they arrived
            finish(self.answer(request, response, handle))

        thread = threading.Thread(target=work, name="render request", daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()

    def cancel(self, handle: RenderHandle) -> None:
        """Cancel the request of ``handle``, wherever it is."""
        handle.cancelled.set()
        if handle.future is not None and self._queue is not None:
            self._queue.cancel(handle.future)

    def cancel_current(self, response: Any) -> Any:
        """Cancel the current render and fill in ``response``, of a Trigger."""
        response.success = self._queue is not None and self._queue.cancel()
        response.message = "cancelled the current render" if response.success else "nothing is being rendered"
        return response

    # --- one request --------------------------------------------------------------------------------

    def answer(self, request: Any, response: Any, handle: RenderHandle) -> Optional[Exception]:
        """Fill in ``response`` when the render is done; returns the error that prevented success, or None."""
        error: Optional[Exception] = None
        try:
            self._reserve_output_and_run(request, response, handle)
            response.success = True
        except StyleTransferError as reason:
            error, response.message = reason, to_text(str(reason))
        except Exception as reason:  # a mistake in the node; the caller must not wait forever
            self._logger.exception("a render failed")
            error, response.message = reason, to_text("the render failed: %r" % reason)
        finally:
            handle.queued.set()
        if error is not None:
            self._logger.warning("render: %s", response.message)
        return error

    def _reserve_output_and_run(self, request: Any, response: Any, handle: RenderHandle) -> None:
        """Check the request, and keep others from its output file until it is written."""
        names, parsed = self._parse_request(request)
        path = self._reserve_path(request.save_as) if request.save_as else ""
        try:
            self._run(request, response, handle, names, parsed, path)
        finally:
            self._reserved_paths.discard(path)

    def _reserve_path(self, name: str) -> str:
        """The path at which ``name`` will be saved, and no other render until then."""
        with self._path_lock:
            path = images.path_below(self._parameters.output_dir, name, "~output_dir")
            if path in self._reserved_paths:
                raise ImageError("%s will be written by another render; choose another name" % path)
            self._reserved_paths.add(path)
        return path

    def _run(
        self,
        request: Any,
        response: Any,
        handle: RenderHandle,
        names: Tuple[str, ...],
        parsed: render_queue.RenderRequest,
        path: str,
    ) -> None:
        """Get the content, have it rendered, and publish, save and return the result."""
        if self._queue is None:
            raise StyleTransferError("the node is still starting; try again")
        self._queue.check_room()
        message = request.content
        if conversions.is_empty(message):
            handle.queued.set()  # later goals need not wait for this one's frame
            message = self._next_frame(handle)
        header = message.header
        handle.future = self._queue.add(
            parsed._replace(
                content=self._callbacks.to_rgb(message),
                on_start=handle.start,
                on_progress=self._progress_callback(header, names, response, handle),
            )
        )
        handle.queued.set()
        if handle.cancelled.is_set():  # before it had a future
            self._queue.cancel(handle.future)
        rendered = handle.future.result()
        picture = self._callbacks.to_message(rendered.picture, header)
        self._callbacks.publish_image(picture)
        if request.return_image:
            response.image = picture
        summary = "rendered %dx%d in %.1f s" % (picture.width, picture.height, response.seconds)
        if rendered.progress["shortfall"]:
            summary += ": " + rendered.progress["shortfall"]
        if path:
            try:
                images.write(path, rendered.picture)
            except ImageError as error:
                response.image = picture  # the work of minutes must not be lost
                raise ImageError(
                    "%s, but %s; the picture is in this answer and on ~render/image" % (summary, error)
                ) from None
            response.path = to_text(path)
            summary += ", saved as %s" % path
        response.message = to_text(summary)
        self._logger.info("%s", response.message)

    def _parse_request(self, request: Any) -> Tuple[Tuple[str, ...], render_queue.RenderRequest]:
        """The names of the styles, and the queue's request without its content; anything wrong is found here."""
        library = self._session.library
        appearance = self._session.appearance
        check_style_count(request.styles)
        names = self._session.resolve_styles(request.styles)
        weights, mask_name = tuple(request.weights), request.mask
        if not request.styles:  # those in force, and so are their weights and their mask
            mask_name = mask_name or (appearance.mask if appearance.mask != TOPIC else "")
            weights = weights or (() if mask_name else appearance.weights)
        for name in (CAMERA, TOPIC):
            if name in names:
                raise StyleError("a render cannot use the style `%s`; name others in styles" % name)
        check_styles(len(names), weights, masked=bool(mask_name))
        if request.size:
            check_range("size (0: the size of the content)", request.size, MIN_SIDE, MAX_SIDE)
        values = self._option_values(request, bool(mask_name))
        if values.get("init") and values["init"] not in render_options.INITS:
            values["init"] = library.find(values["init"])
        preset = request.preset or "default"
        render_options.check(render_options.options_from(values, preset))
        mask = None
        if mask_name:
            labels = library.read_mask(mask_name)
            height, width = labels.shape
            masks.check(labels, height, width, len(names))
            mask = library.find_mask(mask_name)
        for name in names:
            library.read(name)
        return names, render_queue.RenderRequest(
            None,
            [library.find(name) for name in names],
            weights,
            request.size,
            preset,
            values,
            mask,
            request.preview_every,
        )

    def _option_values(self, request: Any, masked: bool) -> Dict[str, Any]:
        """The render options of ``request`` by name."""
        controls = self._session.appearance.controls
        values: Dict[str, Any] = {
            name: value
            for name, value in controls._asdict().items()
            if name in _SHARED_CONTROLS and value != CONTROLS[name].default and (masked or name != "feather")
        }
        values.update({current_name(item.key): item.value for item in request.options})
        for name in _NUMBER_FIELDS:
            number = getattr(request, name)
            if number:
                if values.get(name):
                    raise OptionError(
                        "%s is given twice: as a field (%g) and as an option (%s)" % (name, number, values[name])
                    )
                values[name] = number
        return values

    def _next_frame(self, handle: RenderHandle) -> Any:
        """The next message of the camera."""
        frames: queue.Queue[Any] = queue.Queue()
        timeout = self._parameters.frame_timeout
        unsubscribe = self._callbacks.subscribe(frames.put)
        try:
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                if self._stop.is_set() or handle.cancelled.is_set():
                    raise Cancelled("the render was cancelled")
                try:
                    message = frames.get(timeout=0.1)
                except queue.Empty:
                    continue
                if not conversions.is_empty(message):
                    return message
        finally:
            unsubscribe()
        raise ImageError("nothing to render: " + self._callbacks.no_frame(timeout))

    def _progress_callback(
        self, header: Any, names: Tuple[str, ...], response: Any, handle: RenderHandle
    ) -> Callable[[Mapping[str, Any], Optional[np.ndarray]], None]:
        """A callback for the queue that publishes progress and keeps it in ``response``."""

        def on_progress(progress: Mapping[str, Any], shown: Optional[np.ndarray]) -> None:
            assert self._queue is not None
            response.iterations = progress["total_iterations"]
            response.seconds = float(progress["seconds"])
            response.loss = float(progress["loss"])
            for name, value in progress["losses"].items():
                setattr(response, name + "_loss", float(value))
            message = self._callbacks.new_progress()
            message.header = header
            message.style = to_text(",".join(names))
            message.waiting = self._queue.waiting()
            message.scale = progress["scale"] + 1
            for name in ("loss", "content_loss", "style_loss", "tv_loss", "seconds"):
                setattr(message, name, getattr(response, name))
            for name in ("scales", "width", "height", "iteration", "iterations"):
                setattr(message, name, progress[name])
            message.note = progress["shortfall"] or progress["note"]
            message.remaining = float(progress["remaining"])
            preview = self._callbacks.new_image()
            if shown is not None:
                preview = self._callbacks.to_message(shown, header)
                self._callbacks.publish_preview(preview)
            if message.note:
                self._logger.info("render: %s", message.note)
            self._callbacks.publish_progress(message)
            handle.on_progress(message, preview)

        return on_progress
