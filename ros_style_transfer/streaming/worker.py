"""The only thread that touches TensorFlow: it loads the model, answers requests between frames, and paints."""

import concurrent.futures
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .. import resources
from ..controls import Controls
from ..errors import StyleError, StyleTransferError
from ..media import images
from .appearance import CAMERA, TOPIC, Appearance, StylePicture, arrived, awaits, fill, is_complete
from .event_log import EventLog
from .frame_slots import Frame, FrameSlots
from .stream import FRAME_TIMEOUT, PaintedFrame, Stream, StreamClosed
from .stream_stats import FrameTiming

if TYPE_CHECKING:
    from ..stylizer import Stylizer

LOADING, READY, ERROR = "loading", "ready", "error"  # phases

STYLE_IMAGE_PERIOD = 1.0  # seconds between pictures of the style topic that become the style
MAX_STYLE_SIDE = 2048  # pixels; larger pictures that are sent as styles are scaled down
MAX_FAILURES = 10  # passes in a row that may fail before the worker gives up
LARGE_FRAME = 2**20  # pixels; the memory of such a frame is released when frames become smaller
RELEASE_PERIOD = 10.0  # seconds
LOG_PERIOD = 10.0  # seconds between equal log lines


class WorkerOptions(NamedTuple):
    """What the worker loads; see `stylizer.Stylizer`."""

    model: str
    precision: str
    weights_dir: str
    max_memory: float
    gpu_memory_mb: int


class AppearanceRequest(NamedTuple):
    """An appearance that is to be put in force.

    Attributes:
        appearance: how frames are to be painted.
        pictures: of the styles; None if the styles stay.
        fade: seconds over which the old styles become the new ones.
        done: gets the appearance as text, or an exception.
    """

    appearance: Appearance
    pictures: Optional[List[StylePicture]]
    fade: float
    done: "concurrent.futures.Future[str]"


class SourceSilent(StyleError):
    """A request gave up waiting for a picture of ``source``, `appearance.CAMERA` or `appearance.TOPIC`."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.source = source


class Worker:
    """Paints the frames of `FrameSlots` in the appearance in force.

    Args:
        options: `WorkerOptions`.
        appearance: the first appearance.
        pictures: of its styles; those from `CAMERA` and `TOPIC` may be still to come.
        streams: the streams of the session; more may be appended before `start`.
        slots: where frames wait.
        style_topic: name of the topic that delivers the style `TOPIC`, for people.
        events: `EventLog`.
        on_fatal: called with a message if the worker cannot go on.
        clock: returns monotonic seconds.

    Attributes:
        appearance: the appearance in force.
        paused: whether frames are left unpainted; may be set by anyone.
        phase: `LOADING`, `READY`, or `ERROR` if nothing can be painted any more.
        fatal_error: the reason of `ERROR`, or "".
        failure: what went wrong in the worker itself since a frame or a request last succeeded, or "".
        style_image_notice: why the newest picture of the style topic is not the style, or "".
        device, precision: of the loaded model.
    """

    def __init__(
        self,
        options: WorkerOptions,
        appearance: Appearance,
        pictures: Sequence[StylePicture],
        streams: Sequence[Stream],
        slots: FrameSlots,
        style_topic: str,
        events: EventLog,
        on_fatal: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.appearance = appearance
        self.paused = False
        self.phase = LOADING
        self.fatal_error = self.failure = self.style_image_notice = ""
        self.device = self.precision = "unknown"
        self._options = options
        self._pictures = list(pictures)
        self._streams = streams
        self._slots = slots
        self._style_topic = style_topic
        self._events = events
        self._on_fatal = on_fatal
        self._clock = clock
        self._requests: queue.Queue[AppearanceRequest] = queue.Queue()
        self._pending: Optional[AppearanceRequest] = None  # waits for a picture from `CAMERA` or `TOPIC`
        self._pending_deadline = 0.0
        self._style_image: Optional[Callable[[], np.ndarray]] = None  # reads the newest picture of the style topic
        self._style_image_due = 0.0
        self._changing_until = 0.0  # the time of the last change of the appearance, with its fade
        self._large_pixels = 0  # of the largest frame since memory was released
        self._release_due = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    # --- may be called from any thread ------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread, waiting up to ``timeout`` seconds for it."""
        self._stop.set()
        self._slots.wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def submit(self, request: AppearanceRequest) -> None:
        """Put ``request`` in force between two frames."""
        self._requests.put(request)
        self._slots.wake()

    def pending_styles(self) -> Tuple[str, ...]:
        """The styles of the request that waits for a picture, if there is one."""
        pending = self._pending  # the worker may drop it at any time
        return pending.appearance.styles if pending is not None and not pending.done.done() else ()

    def offer_style_image(self, read: Optional[Callable[[], np.ndarray]]) -> None:
        """See `StreamSession.offer_style_image`."""
        if read is None:
            self._style_image_due = 0.0  # the next one is taken at once
        self._style_image = read
        self._slots.wake()

    # --- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            stylizer = self._try_to_load()
            if stylizer is not None:
                self._work_until_stopped(stylizer)
            while not self._stop.is_set():
                self._refuse_requests()
                self._slots.take(0.5)
        except BaseException as error:  # of any kind: without its worker a session would only seem alive
            self.phase = ERROR
            self.fatal_error = "the worker ended: %r" % error
            self._refuse_requests()
            self._events.fail(self.fatal_error, logging.CRITICAL, traceback=True)
            self._on_fatal(self.fatal_error)

    def _try_to_load(self) -> "Optional[Stylizer]":
        try:
            return self._load()
        except Exception as error:  # of any kind: the status must show it
            self.phase = ERROR
            self.fatal_error = "cannot load %s: %s" % (self._options.model, error)
            self._events.fail(self.fatal_error)
            return None

    def _load(self) -> "Stylizer":
        started = time.monotonic()
        from ..stylizer import Stylizer  # importing TensorFlow takes seconds; the middleware is up meanwhile

        model, precision, weights_dir, max_memory, gpu_memory_mb = self._options
        stylizer = Stylizer(model, precision, weights_dir or None, max_memory=max_memory, gpu_memory_mb=gpu_memory_mb)
        self.device = stylizer.device
        self.precision = stylizer.precision
        self._set_styles(stylizer)
        stylizer.warm_up(controls=self._warm_up_controls())
        self.phase = READY
        self._events.report(
            "%s loaded in %.1f s, computes in %s%s"
            % (
                model,
                time.monotonic() - started,
                stylizer.precision,
                ", the fastest here" if precision == "auto" else "",
            )
        )
        return stylizer

    def _warm_up_controls(self) -> Controls:
        """The controls in force without style swap: the small picture of a warm-up may be smaller than a patch."""
        controls = self.appearance.controls._replace(swap=0.0)
        return controls if is_complete(self._pictures) else controls._replace(method="whiten")

    def _work_until_stopped(self, stylizer: "Stylizer") -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                self._work(stylizer)
                failures = 0
            except Exception as error:
                failures += 1
                if failures >= MAX_FAILURES:
                    raise
                self.failure = "the worker failed: %r" % error
                self._events.fail(self.failure, traceback=True)
                self._stop.wait(0.1 * failures)

    def _work(self, stylizer: "Stylizer") -> None:
        """One pass: answer the requests that wait, and paint a frame if one arrives."""
        self._answer_requests(stylizer)
        self._update_style_image(stylizer)
        taken = self._slots.take(0.5)
        if taken is None:
            self._release_memory(0)
        else:
            self._paint(stylizer, *taken)
        self._expire_pending_request()

    # --- requests ---------------------------------------------------------------------------------

    def _refuse_requests(self) -> None:
        while not self._requests.empty():
            request = self._requests.get()
            if request.done.set_running_or_notify_cancel():
                request.done.set_exception(StyleTransferError(self.fatal_error))

    def _answer_requests(self, stylizer: "Stylizer") -> None:
        while not self._requests.empty():
            request = self._requests.get()
            if request.pictures is None or is_complete(request.pictures):
                self._apply(stylizer, request)
            else:
                self._pending = request
                self._pending_deadline = self._clock() + FRAME_TIMEOUT
                self._events.notify()  # a stream without listeners must be opened for it

    def _apply(self, stylizer: "Stylizer", request: AppearanceRequest) -> None:
        """Put ``request`` in force and answer it, even if that fails."""
        if not request.done.set_running_or_notify_cancel():
            return
        try:
            self._put_in_force(stylizer, request)
        except Exception as error:  # one request must not end the stream
            request.done.set_exception(StyleTransferError("the style cannot be set: %s" % error))
        else:
            request.done.set_result(str(request.appearance))

    def _put_in_force(self, stylizer: "Stylizer", request: AppearanceRequest) -> None:
        appearance = request.appearance
        if request.pictures is not None:
            stylizer.set_styles(arrived(request.pictures), appearance.weights or None, request.fade)
            self._changing_until = self._clock() + request.fade
            self._pictures = request.pictures
        elif appearance.mask != self.appearance.mask:
            stylizer.reset()
        self.appearance = appearance
        self.failure = ""
        for stream in self._streams:
            stream.mask_notice = ""
        self._events.report(str(appearance))

    def _expire_pending_request(self) -> None:
        """Refuse the request that has waited too long for a picture."""
        request = self._pending
        if request is None or self._clock() <= self._pending_deadline:
            return
        self._pending = None
        if request.done.set_running_or_notify_cancel():
            request.done.set_exception(SourceSilent(TOPIC if awaits(request.pictures or (), TOPIC) else CAMERA))

    # --- styles that a camera or a topic delivers -----------------------------------------------------

    def _set_styles(self, stylizer: "Stylizer", fade: float = 0.0) -> None:
        if is_complete(self._pictures):
            stylizer.set_styles(arrived(self._pictures), self.appearance.weights or None, fade)
            self._changing_until = self._clock() + fade

    def _offer_to_request(self, stylizer: "Stylizer", source: str, rgb: np.ndarray) -> None:
        """Give the request that waits for a picture of ``source`` this one, and apply it once it is complete."""
        request = self._pending
        if request is None or request.pictures is None or not awaits(request.pictures, source):
            return
        pictures = fill(request.pictures, source, rgb)
        request = request._replace(pictures=pictures)
        if is_complete(pictures):
            self._pending = None
            self._apply(stylizer, request)
        else:
            self._pending = request

    def _offer_to_first_styles(self, stylizer: "Stylizer", source: str, rgb: np.ndarray) -> None:
        """Give the styles of the start that wait for a picture of ``source`` this one."""
        if awaits(self._pictures, source):
            self._pictures = fill(self._pictures, source, rgb)
            self._set_styles(stylizer)

    def _update_style_image(self, stylizer: "Stylizer") -> None:
        """Make the newest picture of the style topic the style, at most once in `STYLE_IMAGE_PERIOD`."""
        read = self._style_image
        if read is None or self._clock() < self._style_image_due:
            return
        self._style_image = None
        self._style_image_due = self._clock() + STYLE_IMAGE_PERIOD
        try:
            rgb = images.limit_longest_side(read(), MAX_STYLE_SIDE)
            self._offer_to_request(stylizer, TOPIC, rgb)
            self._offer_to_first_styles(stylizer, TOPIC, rgb)
            if is_complete(self._pictures):
                self._replace_style_image(stylizer, rgb)
            self.style_image_notice = ""
        except Exception as error:  # one picture must not end the stream
            self.style_image_notice = "a picture of %s cannot be the style: %s" % (self._style_topic, error)
            self._events.warn("style image", self.style_image_notice, LOG_PERIOD)

    def _replace_style_image(self, stylizer: "Stylizer", rgb: np.ndarray) -> None:
        pictures = [rgb if name == TOPIC else picture for name, picture in zip(self.appearance.styles, self._pictures)]
        if not all(map(np.array_equal, pictures, self._pictures)):
            self._pictures = pictures
            # Faded: a camera's pictures differ all the time, and the style must not flicker.
            self._set_styles(stylizer, STYLE_IMAGE_PERIOD)

    # --- frames -----------------------------------------------------------------------------------

    def _paint(self, stylizer: "Stylizer", stream: Stream, frame: Frame) -> None:
        """Paint and publish a frame; one that fails costs only itself."""
        try:
            self._paint_frame(stylizer, stream, frame)
        except StreamClosed:
            return
        except StyleTransferError as error:
            self._skip(stream, str(error))
        except Exception as error:
            self._skip(stream, "a frame could not be painted: %s" % error)

    def _paint_frame(self, stylizer: "Stylizer", stream: Stream, frame: Frame) -> None:
        started = self._clock()
        whole = stream.callbacks.decode(frame.message)
        images.check(whole)
        rgb = images.limit_longest_side(whole, self.appearance.max_side)
        stream.shape = shape = (rgb.shape[0], rgb.shape[1])
        self._offer_to_request(stylizer, CAMERA, rgb)
        self._offer_to_first_styles(stylizer, CAMERA, rgb)
        if self.paused:
            return
        if not is_complete(self._pictures):
            raise StyleError("no picture has arrived on %s to become the style" % self._style_topic)
        appearance = self.appearance
        labels = self._labels(stream, frame, shape)
        decoded = self._clock()
        newest = self._reusable(stream, rgb, labels)
        if newest is None:
            painted = stylizer.stylize(rgb, appearance.controls, labels, stream.name)
            newest = PaintedFrame(rgb, painted, appearance, 0.0, labels)
        stylized = self._clock()
        encoded = stream.callbacks.encode(newest.painted, frame.message)
        ready = self._clock()
        scale = rgb.shape[1] / whole.shape[1], rgb.shape[0] / whole.shape[0]
        stream.callbacks.publish(encoded, frame.message, scale)
        published = self._clock()
        timing = FrameTiming(
            decode=decoded - started, network=stylized - decoded, encode=ready - stylized, publish=published - ready
        )
        stream.count_published(newest._replace(time=published), frame.arrival, timing)
        self.failure = ""
        self._release_memory(whole.shape[0] * whole.shape[1])

    def _reusable(self, stream: Stream, rgb: np.ndarray, labels: Optional[np.ndarray]) -> Optional[PaintedFrame]:
        """The newest frame of ``stream`` if ``skip_still`` says that its painting will do for ``rgb``, too."""
        newest, appearance = stream.newest, self.appearance
        if (
            not appearance.controls.skip_still
            or newest is None
            or newest.appearance is not appearance
            or newest.time <= self._changing_until
        ):
            return None
        return newest if newest.is_like(rgb, labels, appearance.controls.skip_still) else None

    def _release_memory(self, pixels: int) -> None:
        """Return to the system what larger frames have taken, now that frames have so many pixels."""
        self._large_pixels = max(self._large_pixels, pixels)
        if self._large_pixels - pixels > LARGE_FRAME and self._clock() >= self._release_due:
            resources.release_memory()
            self._large_pixels = pixels
            self._release_due = self._clock() + RELEASE_PERIOD

    def _labels(self, stream: Stream, frame: Frame, shape: Tuple[int, int]) -> Optional[np.ndarray]:
        """The mask of a frame, or None; ``stream.mask_notice`` tells why a mask in force is left out."""
        appearance, labels, notice = self.appearance, self.appearance.labels, ""
        if appearance.mask == TOPIC and frame.mask is None:
            notice = "no mask matched the frames of %s, which are painted whole" % stream.topic
        elif appearance.mask == TOPIC:
            labels = stream.callbacks.decode_mask(frame.mask)
        if labels is not None:
            labels, notice = stream.fit_mask(labels, shape, len(appearance.styles))
        stream.mask_notice = notice
        return labels

    def _skip(self, stream: Stream, reason: str) -> None:
        stream.count_failed(reason)
        self._events.warn(stream, reason, LOG_PERIOD, prefix="frame skipped: ")
