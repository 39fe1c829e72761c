"""The node ``style_transfer``: wiring between ROS and the core.

Data flow::

    image --callback--> LatestSlot --worker--> Stylizer --> ~image
                                      ^
    ~set_style --requests-------------+        housekeeping: subscribe or not, ~status
    ~render, ~render_action --> `renders`, in processes of their own

The callback only stores.  One worker thread owns TensorFlow: it loads the model, answers style
requests between frames, and paints.  The housekeeping thread runs on wall time, whatever
``/use_sim_time`` says.
"""
import concurrent.futures
import os
import queue
import threading
import time
from typing import List, NamedTuple, Optional, Tuple

import numpy as np
import rospy
from sensor_msgs.msg import Image

from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.srv import ListStyles, ListStylesResponse, SetStyle, SetStyleResponse

from .. import images, masks, options
from ..errors import OptionError, StyleError, StyleTransferError
from ..latest import Frame, LatestSlot
from ..meter import Meter
from ..options import Controls
from ..style_library import StyleLibrary
from . import conversions, params
from .renders import Renders

STATUS_PERIOD = 1.0  # seconds
STYLE_TIMEOUT = 60.0  # seconds a style request waits for its turn, a model's loading included
PATIENCE = 5.0  # seconds without a frame until a warning, or until a style from the camera is given up
CAMERA = "camera"  # the style that is the next frame itself


class Look(NamedTuple):
    """How frames are painted."""

    styles: Tuple[str, ...]
    weights: Tuple[float, ...]  # empty: equal
    mask: Optional[np.ndarray]  # labels, as `masks.read` gives them
    controls: Controls

    def __str__(self):
        shares = ["%s %g" % pair for pair in zip(self.styles, self.weights)] or self.styles
        parts = ["style " + ", ".join(shares), "strength %g" % self.controls.strength]
        rest = options.describe(self.controls._replace(strength=1.0))
        return ", ".join(parts + ([rest] if rest else []) + ([] if self.mask is None else ["masked"]))


class Change(NamedTuple):
    """A request to look otherwise."""

    look: Look
    pictures: Optional[List[Optional[np.ndarray]]]  # of its styles, None for the next frame; None: no new styles
    fade: float
    done: concurrent.futures.Future


class StyleTransferNode:
    """The node.  The constructor touches no middleware; `setup` connects, `shutdown` ends.

    Args:
        parameters: `params.Parameters`.
    """

    def __init__(self, parameters):
        self._parameters = parameters
        self._library = StyleLibrary(parameters.style_dirs)
        self._random = np.random.default_rng()
        names = self._named(parameters.style)
        self._pictures = [self._library.read(name) for name in names]
        mask = self._library.read_mask(parameters.mask) if parameters.mask else None
        self._look = Look(names, parameters.style_weights, mask, parameters.controls)
        self._check(self._look)
        self._state, self._message = StyleStatus.LOADING, "loading %s" % parameters.model
        self._renders = Renders(parameters, self._library, self._named, lambda: self._look.styles)
        self._slot, self._requests = LatestSlot(), queue.Queue()
        self._changing = threading.Lock()  # one request after the other
        self._awaiting = None  # the change whose style is the next frame
        self._awaited_until = 0.0  # the monotonic time at which it has waited long enough
        self._meter = Meter()
        self._stop, self._peers_changed = threading.Event(), threading.Event()
        self._subscriber = None
        self._subscribed = None  # when, until a look was taken whether frames come
        self._threads = []

    def setup(self):
        """Advertise everything and start working; the model loads in the background."""
        listener = _PeerListener(self._peers_changed)
        self._publisher = rospy.Publisher("~image", Image, listener, queue_size=1, tcp_nodelay=True)
        self._status = rospy.Publisher("~status", StyleStatus, queue_size=1, latch=True)
        self._publish_status()
        rospy.Service("~set_style", SetStyle, self._on_set_style)
        rospy.Service("~list_styles", ListStyles, self._on_list_styles)
        self._renders.setup()
        rospy.on_shutdown(self.shutdown)
        for target in (self._work, self._keep_house):
            thread = threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True)
            thread.start()
            self._threads.append(thread)

    def shutdown(self):
        """Stop all threads and renders; returns when they have ended."""
        self._stop.set()
        self._peers_changed.set()
        self._slot.wake()
        self._renders.shutdown()
        for thread in self._threads:
            thread.join(1.0)

    # --- callbacks: they store, and no more -------------------------------------------------

    def _on_image(self, message):
        if conversions.is_empty(message):
            return  # image_publisher's mark of a rewound clip
        self._meter.received()
        if self._slot.put(Frame(message, time.monotonic())):
            self._meter.dropped()

    def _on_list_styles(self, _request):
        paths = self._library.paths()
        return ListStylesResponse(list(paths), list(paths.values()), ",".join(self._look.styles))

    def _on_set_style(self, request):
        message = ""
        with self._changing:
            try:
                change = self._change(request)
                self._requests.put(change)
                self._slot.wake()
                message = change.done.result(STYLE_TIMEOUT)
                success = True
            except concurrent.futures.TimeoutError:
                change.done.cancel()  # or it would be applied after all, some time
                success = False
                message = "the style was not set within %g s (state: %s)" % (STYLE_TIMEOUT, self._state)
            except StyleTransferError as error:
                success, message = False, str(error)
            if not success:
                rospy.logwarn("set_style: %s", message)
            return SetStyleResponse(success, message, ",".join(self._look.styles), self._look.controls.strength)

    def _change(self, request):
        """The `Change` that a request asks for; everything that can be wrong is found here."""
        look, pictures = self._look, None
        if request.style and request.styles:
            raise OptionError("give either style or styles, not both")
        names = self._named(request.styles or ([request.style] if request.style else []))
        options.check_weights(request.weights, len(names))
        options.within("fade", request.fade, 0.0, 3600.0)
        if names:
            pictures = [None if name == CAMERA else self._library.read(name) for name in names]
            look = look._replace(styles=names, weights=tuple(request.weights))
        if request.mask:
            look = look._replace(mask=None if request.mask == "none" else self._library.read_mask(request.mask))
        controls = {item.key: item.value for item in request.controls}
        if request.set_strength:
            controls["strength"] = request.strength
        elif request.strength:
            raise OptionError(
                "strength %g was given without set_strength: true; say both or neither" % request.strength)
        look = look._replace(controls=options.controls_from(controls, look.controls))
        self._check(look)
        return Change(look, pictures, request.fade, concurrent.futures.Future())

    def _named(self, names):
        return tuple(self._library.random(self._random) if name == "random" else name for name in names)

    def _check(self, look):
        options.check(look.controls, self._parameters.model)
        if look.mask is not None:
            masks.check(look.mask, *look.mask.shape, len(look.styles))
            if look.controls.method == "whiten":
                raise OptionError("the method whiten takes no style, so there is nothing for a mask to say")

    # --- the worker: the only thread that touches TensorFlow ---------------------------------

    def _work(self):
        try:
            stylizer = self._load()
        except Exception as error:  # whatever it is, the status must say it
            self._say(StyleStatus.ERROR, "cannot load %s: %s" % (self._parameters.model, error), rospy.logerr)
            while not self._stop.is_set():
                self._answer_requests(None)
                self._slot.take(0.5)
            return
        while not self._stop.is_set():
            self._answer_requests(stylizer)
            frame = self._slot.take(0.5)
            if frame is not None:
                self._paint(stylizer, frame)
            if self._awaiting is not None and time.monotonic() > self._awaited_until:
                change, self._awaiting = self._awaiting, None
                if change.done.set_running_or_notify_cancel():
                    change.done.set_exception(StyleError(
                        "no frame came on %s within %g s to become the style; is its camera running?"
                        % (rospy.resolve_name("image"), PATIENCE)))

    def _load(self):
        started = time.monotonic()
        from ..stylizer import Stylizer  # TensorFlow's import takes seconds; the node is up meanwhile

        p = self._parameters
        stylizer = Stylizer(p.model, p.dtype, p.weights_dir or None)
        stylizer.set_styles(self._pictures, self._look.weights or None)
        # Without swapping: the little picture that warms up may be smaller than a patch.
        stylizer.warm_up(controls=self._look.controls._replace(swap=0.0))
        self._say(StyleStatus.READY, "%s loaded in %.1f s" % (p.model, time.monotonic() - started))
        return stylizer

    def _answer_requests(self, stylizer):
        """Answer what waits; with no ``stylizer``, since it could not be loaded, by refusing."""
        while True:
            try:
                change = self._requests.get_nowait()
            except queue.Empty:
                return
            if stylizer is None:
                if change.done.set_running_or_notify_cancel():
                    change.done.set_exception(StyleTransferError(self._message))
            elif change.pictures and any(picture is None for picture in change.pictures):
                self._awaiting, self._awaited_until = change, time.monotonic() + PATIENCE
                self._peers_changed.set()  # with nobody listening the camera is not subscribed to
            else:
                self._apply(stylizer, change)

    def _apply(self, stylizer, change, frame=None):
        """Look as asked from now on; ``frame`` is the picture for styles from the camera."""
        if not change.done.set_running_or_notify_cancel():
            return
        if change.pictures:
            pictures = [frame if picture is None else picture for picture in change.pictures]
            try:
                stylizer.set_styles(pictures, change.look.weights or None, change.fade)
            except Exception as error:  # one request never ends the stream
                change.done.set_exception(StyleTransferError("the style cannot be set: %s" % error))
                return
        self._look = change.look
        self._say(self._state, str(self._look))
        change.done.set_result(str(self._look))

    def _paint(self, stylizer, frame):
        try:
            rgb = images.limit(conversions.to_rgb(frame.message), self._parameters.max_side)
            if self._awaiting is not None:
                self._apply(stylizer, self._awaiting, rgb)
                self._awaiting = None
            painted = stylizer.stylize(rgb, self._look.controls, self._look.mask)
            self._publisher.publish(conversions.to_message(painted, frame.message.header))
        except rospy.ROSException:
            return  # shutting down: the publisher is closed
        except StyleTransferError as error:
            self._skip(str(error))
        except Exception as error:  # one frame never ends the stream
            self._skip("a frame could not be painted: %s" % error)
        else:
            self._meter.published(time.monotonic() - frame.arrival)

    def _skip(self, message):
        self._meter.failed()
        self._message = message
        rospy.logwarn_throttle_identical(10, "frame skipped: " + message)

    # --- housekeeping -----------------------------------------------------------------------

    def _keep_house(self):
        due = time.monotonic()
        while not self._stop.is_set():
            self._peers_changed.wait(max(0.0, due - time.monotonic()))
            self._peers_changed.clear()
            try:
                self._subscribe_if_wanted()
                if time.monotonic() >= due:
                    due = time.monotonic() + STATUS_PERIOD
                    self._warn_if_blind()
                    self._publish_status()
            except Exception as error:  # the master may be away for a moment
                if not self._stop.is_set():
                    rospy.logerr_throttle_identical(10, "housekeeping: %s" % error)

    def _subscribe_if_wanted(self):
        """Subscribe to the camera while somebody listens, or a request waits for a frame."""
        awaiting = self._awaiting  # the worker may drop it any time
        wanted = (awaiting is not None and not awaiting.done.done()) or self._publisher.get_num_connections() > 0
        if wanted and self._subscriber is None and not self._stop.is_set():
            self._subscriber = rospy.Subscriber(
                "image", Image, self._on_image, queue_size=1, buff_size=conversions.BUFFER, tcp_nodelay=True)
            self._subscribed = time.monotonic()
        elif not wanted and self._subscriber is not None:
            self._subscriber.unregister()
            self._subscriber = None
            self._slot.take(0)

    def _warn_if_blind(self):
        """Say which topic brings nothing, once for each subscription."""
        if self._subscriber is None or self._subscribed is None or time.monotonic() - self._subscribed < PATIENCE:
            return
        self._subscribed = None
        if self._meter.read().input_rate == 0:
            self._message = "no frame came on %s for %g s; is its camera running?" % (
                rospy.resolve_name("image"), PATIENCE)
            rospy.logwarn("%s", self._message)

    def _publish_status(self):
        counts = self._meter.read()
        state = self._state
        if state == StyleStatus.READY and self._subscriber is None:
            state = StyleStatus.PAUSED
        status = StyleStatus(
            state=state, model=self._parameters.model, style=",".join(self._look.styles),
            weights=self._look.weights, controls=options.describe(self._look.controls),
            strength=self._look.controls.strength,
            input_rate=counts.input_rate, output_rate=counts.output_rate, latency=counts.latency,
            dropped=counts.dropped, failed=counts.failed, message=self._message)
        status.header.stamp = rospy.get_rostime()
        try:
            self._status.publish(status)
        except rospy.ROSException:
            pass  # shutting down

    def _say(self, state, message, log=rospy.loginfo):
        self._state, self._message = state, message
        log("%s", message)
        self._publish_status()


class _PeerListener(rospy.SubscribeListener):
    """Notes that somebody came or went.  rospy calls this from connection threads, even from
    inside ``publish()``, so it decides nothing itself."""

    def __init__(self, event):
        super().__init__()
        self._event = event

    def peer_subscribe(self, topic_name, topic_publish, peer_publish):
        self._event.set()

    def peer_unsubscribe(self, topic_name, num_peers):
        self._event.set()


def main():
    """Run the node until shutdown; a wrong parameter ends it with one log line and code 1."""
    # TensorFlow would import Keras 3, a quarter of the time until the first frame, and nothing needs it.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    rospy.init_node("style_transfer")
    try:
        node = StyleTransferNode(params.read())
    except StyleTransferError as error:
        rospy.logfatal("style_transfer: %s", error)
        raise SystemExit(1) from None
    node.setup()
    rospy.spin()
