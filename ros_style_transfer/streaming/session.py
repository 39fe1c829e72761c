"""A live stream without middleware: frames in, painted frames out, and requests that change how they are painted.

Data flow::

    Stream.put --(any thread)--> FrameSlots --+
    offer_style_image --(any thread)----------+--> worker: Stylizer --> StreamCallbacks.publish
    change --(any thread, waits)--> requests -+

Callbacks only store; one thread, the `worker`, owns TensorFlow.  `ros.node` connects a session to ROS 1; any other
middleware can do the same with

* `StreamSession.add_stream`, `Stream.open`, `Stream.put` and `Stream.close` for frames,
* `StreamSession.change`, `add_style`, `set_paused` and `save` for requests,
* `StreamSession.wants_frames`, `wants_masks` and `wants_style_images` for its subscriptions,
* `StreamSession.check_streams` once a second, and `StreamSession.status` whenever it reports.
"""

import concurrent.futures
import datetime
import logging
import os
import re
import threading
import time
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .. import temporary_folders
from ..controls import Controls
from ..errors import OptionError, StyleError, StyleTransferError
from ..media import images
from ..media.style_library import StyleLibrary
from .appearance import CAMERA, RESERVED_STYLES, TOPIC, Appearance, AppearanceBuilder, AppearanceChange
from .event_log import EventLog
from .frame_slots import FrameSlots
from .stream import FRAME_TIMEOUT, Stream, StreamCallbacks, no_frame_message
from .stream_stats import StreamSummary, combine
from .worker import (
    ERROR,
    LOADING,
    LOG_PERIOD,
    MAX_STYLE_SIDE,
    READY,
    AppearanceRequest,
    SourceSilent,
    Worker,
    WorkerOptions,
)

PAUSED = "paused"
STATES = (LOADING, READY, PAUSED, ERROR)

REQUEST_TIMEOUT = 60.0  # seconds until a request gives up; it may wait for the model to load
SILENCE_LOG_PERIOD = 60.0  # seconds between equal log lines about a silent stream

LOGGER = logging.getLogger(__name__)


class SessionOptions(NamedTuple):
    """What a session starts with.

    Attributes:
        styles, style_weights, mask, max_side, controls: see `appearance.Appearance`.
        model, precision, weights_dir, max_memory, gpu_memory_mb: see `stylizer.Stylizer`.
        style_dirs: folders with styles and masks, searched before the shipped styles.
    """

    styles: Sequence[str] = ("flow_night",)
    style_weights: Sequence[float] = ()
    mask: str = ""
    max_side: int = 0
    controls: Controls = Controls()
    model: str = "live"
    precision: str = "auto"
    weights_dir: str = ""
    max_memory: float = 0.0
    gpu_memory_mb: int = 0
    style_dirs: Sequence[str] = ()


class StyleTopic(NamedTuple):
    """The source of the style `TOPIC`: its name for people, and a clause that may help if it is silent."""

    name: str = "style_image"
    explain_silence: Callable[[], str] = lambda: ""


class SessionStatus(NamedTuple):
    """A session at a moment.

    Attributes:
        state: one of `STATES`.
        message: the problems that last, or why nothing is painted, and the last event.
        last_error: the last problem, or "".
        fatal_error: why nothing can be painted any more, or "".
        device: what the model runs on.
        precision: what the model computes in.
        appearance: how frames are painted.
        summary: of all streams together.
    """

    state: str
    message: str
    last_error: str
    fatal_error: str
    model: str
    device: str
    precision: str
    appearance: Appearance
    summary: StreamSummary


class Answer(NamedTuple):
    """Whether a request succeeded, and what is in force now or what was wrong."""

    success: bool
    message: str


class SavedFrame(NamedTuple):
    """A frame that was saved: where, how many seconds after it was painted, in which style, and whether that is what
    the stream looks like now."""

    path: str
    age: float
    style: str
    is_current: bool

    def __str__(self) -> str:
        return "%s (painted %.1f s ago in the style %s)" % (self.path, self.age, self.style)


class StreamSession:
    """Streams that are painted by one model.  The constructor starts no thread; `start` does, `shutdown` ends it.

    Args:
        options: `SessionOptions`.
        style_topic: `StyleTopic`.
        on_change: called, from any thread, after the status or the appearance has changed.
        on_fatal: called with a message if the worker cannot go on; the program should end.
        logger: where events and problems are logged.
        clock: returns monotonic seconds.

    Attributes:
        library: `StyleLibrary` of the session, with the styles that `add_style` has added.

    Raises:
        StyleTransferError: an option is wrong.
    """

    def __init__(
        self,
        options: SessionOptions,
        style_topic: Optional[StyleTopic] = None,
        on_change: Callable[[], None] = lambda: None,
        on_fatal: Callable[[str], None] = lambda message: None,
        logger: logging.Logger = LOGGER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = options.model
        self._style_topic = style_topic or StyleTopic()
        self._clock = clock
        self._added_dir = temporary_folders.make("styles")  # pictures of `add_style`
        try:
            self.library = StyleLibrary([self._added_dir, *options.style_dirs])
            self._builder = AppearanceBuilder(self.library, options.model)
            appearance, pictures = self._builder.first(
                options.styles, options.style_weights, options.mask, options.max_side, options.controls
            )
        except StyleTransferError:
            temporary_folders.remove(self._added_dir)  # or every failed start would leave one behind
            raise
        self._streams: List[Stream] = []
        self._slots = FrameSlots()
        self._change_lock = threading.Lock()  # one request after the other
        self._events = EventLog("loading %s" % options.model, on_change, logger, clock)
        self._worker = Worker(
            WorkerOptions(
                options.model, options.precision, options.weights_dir, options.max_memory, options.gpu_memory_mb
            ),
            appearance,
            pictures,
            self._streams,
            self._slots,
            self._style_topic.name,
            self._events,
            on_fatal,
            clock,
        )

    def add_stream(self, name: str, callbacks: StreamCallbacks, topic: str = "", output: str = "") -> Stream:
        """A new stream.

        Args:
            name: of the stream; with several streams, each needs its own.
            callbacks: `StreamCallbacks`.
            topic: where its frames come from, for people; the name unless given.
            output: where its painted frames go, for people; the name unless given.
        """
        stream = Stream(name, topic or name, output or name, callbacks, self._slots, self._clock)
        self._streams.append(stream)
        return stream

    def start(self) -> None:
        """Start the worker, which loads the model first."""
        self._worker.start()

    def shutdown(self, timeout: float = 0.5) -> None:
        """Stop the worker, waiting up to ``timeout`` seconds for it.  May be called repeatedly, and at any time."""
        self._worker.stop(timeout)
        temporary_folders.remove(self._added_dir)

    # --- requests; they may be called from any thread ------------------------------------------------

    @property
    def appearance(self) -> Appearance:
        """How frames are painted now."""
        return self._worker.appearance

    @property
    def paused(self) -> bool:
        return self._worker.paused

    def change(self, build: Callable[[Appearance], AppearanceChange]) -> Answer:
        """Change how frames are painted; returns when the change is in force, or why it is not.

        Args:
            build: gets the appearance in force, which no other request changes meanwhile, and returns what to
                change; may raise `StyleTransferError`.
        """
        with self._change_lock:
            if self._worker.fatal_error:
                return Answer(False, self._worker.fatal_error)
            try:
                change = build(self._worker.appearance)
                known = [stream.known_frame() for stream in self._streams]
                appearance, pictures = self._builder.apply(
                    self._worker.appearance, change, [frame for frame in known if frame is not None]
                )
                request = AppearanceRequest(appearance, pictures, change.fade, concurrent.futures.Future())
                self._worker.submit(request)
                return self._wait_for(request)
            except StyleTransferError as error:
                return Answer(False, str(error))
            except Exception as error:
                self._events.logger.exception("a request failed")
                return Answer(False, "the request failed: %r" % error)

    def _wait_for(self, request: AppearanceRequest) -> Answer:
        try:
            return Answer(True, request.done.result(REQUEST_TIMEOUT))
        except concurrent.futures.TimeoutError:
            request.done.cancel()  # or it might still be applied later
            return Answer(
                False, "the style was not set within %g s (state: %s)" % (REQUEST_TIMEOUT, self._worker.phase)
            )
        except SourceSilent as error:
            if error.source == TOPIC:
                return Answer(
                    False,
                    "the style was not set: "
                    + no_frame_message(self._style_topic.name, self._style_topic.explain_silence()),
                )
            stream = self._streams[0]
            return Answer(
                False, "the style was not set: " + no_frame_message(stream.topic, stream.callbacks.explain_silence())
            )

    def add_style(self, name: str, rgb: np.ndarray) -> np.ndarray:
        """Add a picture to the styles until the session ends, replacing an added one of the same ``name``.

        Returns:
            The picture as it was added.

        Raises:
            OptionError: the name is not allowed.
            ImageError: ``rgb`` is not a picture, or cannot be stored.
        """
        check_style_name(name)
        rgb = images.limit_longest_side(rgb, MAX_STYLE_SIDE)
        images.write(os.path.join(self._added_dir, name + ".png"), rgb)
        return rgb

    def uses_added_style(self) -> bool:
        """Whether a style in force is lost when the session ends."""
        added = os.listdir(self._added_dir)
        return any(style + ".png" in added for style in self._worker.appearance.styles)

    def set_paused(self, paused: bool) -> Answer:
        """Stop painting, or resume."""
        self._worker.paused = paused
        self._events.report("paused on request" if paused else "resumed")
        return Answer(True, self._events.event)

    def save(self, folder: str, setting: str = "the output folder") -> List[SavedFrame]:
        """Write the newest frame of every stream and its painting to ``folder``.

        Args:
            setting: how users know ``folder``.

        Raises:
            StyleError: no frame was painted yet.
            ImageError: a picture cannot be written.
        """
        painted = [stream for stream in self._streams if stream.newest is not None]
        if not painted:
            raise StyleError(
                "no frame was painted yet; does anything subscribe to %s?"
                % ", ".join(stream.output for stream in self._streams)
            )
        saved, stamp = [], datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S.%f")[:-3]
        for stream in painted:
            frame, failure = stream.newest, stream.failure
            assert frame is not None
            name = "_".join([*stream.name.split("/"), stamp]).strip("_")
            paths = [images.path_below(folder, "%s_%s.png" % (name, part), setting) for part in ("content", "painted")]
            for path, rgb in zip(paths, (frame.content, frame.painted)):
                images.write(path, rgb)
            age = self._clock() - frame.time
            is_current = age <= FRAME_TIMEOUT and not failure and str(frame.appearance) == str(self._worker.appearance)
            saved.append(SavedFrame(paths[1], age, frame.appearance.style_text, is_current))
        self._events.logger.info("saved %s", ", ".join(map(str, saved)))
        return saved

    def resolve_styles(self, names: Sequence[str]) -> Tuple[str, ...]:
        """``names``, or the styles in force if there are none, with `RANDOM` replaced by the name of a style."""
        return self._builder.resolve(names or self._worker.appearance.styles)

    # --- what a middleware connects -------------------------------------------------------------------

    def wants_frames(self, has_listeners: bool) -> bool:
        """Whether a stream should be open, given whether anything subscribes to its output."""
        return CAMERA in self._worker.pending_styles() or (has_listeners and not self._worker.paused)

    def wants_masks(self) -> bool:
        """Whether frames should come with masks."""
        return self._worker.appearance.mask == TOPIC

    def wants_style_images(self) -> bool:
        """Whether `offer_style_image` has a use."""
        in_force = TOPIC in self._worker.appearance.styles and not self._worker.paused
        return in_force or TOPIC in self._worker.pending_styles()

    def offer_style_image(self, read: Optional[Callable[[], np.ndarray]]) -> None:
        """The newest picture of the style topic, as a function that the worker calls when it needs it; None: none."""
        self._worker.offer_style_image(read)

    def check_streams(self) -> None:
        """Find streams that are silent or whose mask has no effect, and log them.  To be called once a second, from a
        thread that may wait for `StreamCallbacks.explain_silence`."""
        for stream in self._streams:
            stream.check()
            if stream.silence_notice:
                self._events.warn((stream, "silence"), stream.silence_notice, SILENCE_LOG_PERIOD)
            if stream.mask_notice:
                self._events.warn((stream, "mask"), stream.mask_notice, LOG_PERIOD)

    def status(self) -> SessionStatus:
        """The present `SessionStatus`."""
        worker = self._worker
        return SessionStatus(
            self._state(),
            self._message(),
            self._events.last_error,
            worker.fatal_error,
            self._model,
            worker.device,
            worker.precision,
            worker.appearance,
            combine(stream.stats.read() for stream in self._streams),
        )

    def resting_reason(self, stream: Stream) -> str:
        """Why nothing is painted of ``stream``, or ""."""
        if self._worker.paused:
            return "paused on request"
        return "" if stream.is_open else "resting: nothing subscribes to %s" % stream.output

    def _state(self) -> str:
        if self._worker.phase != READY:
            return self._worker.phase
        if self._worker.paused or not any(stream.is_open for stream in self._streams):
            return PAUSED
        if self._worker.failure or any(stream.is_open and stream.failure for stream in self._streams):
            return ERROR
        return READY

    def _message(self) -> str:
        parts = [self._worker.fatal_error, self._worker.failure]
        for stream in self._streams:
            parts += stream.notices()
        parts.append(self._worker.style_image_notice)
        if self._worker.phase == READY and self._state() == PAUSED:
            parts += [self.resting_reason(stream) for stream in self._streams]
        parts.append(self._events.event)
        return "; ".join(dict.fromkeys(part for part in parts if part))  # each once


def check_style_name(name: str) -> None:
    """Raise `OptionError` unless a picture may be added to the styles as ``name``."""
    if not re.match(r"^[A-Za-z0-9][\w-]{0,63}$", name, re.ASCII) or name in RESERVED_STYLES:
        shown = name if len(name) <= 80 else name[:80] + "..."
        raise OptionError(
            "a style's name must be 1 to 64 letters, digits, '-' and '_', and none of %s, not %r"
            % (", ".join(RESERVED_STYLES), shown)
        )
