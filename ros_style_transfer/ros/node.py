"""The node ``style_transfer``: wiring between ROS and the core.

Data flow::

    image --callback--> LatestSlot --worker--> Stylizer --> ~image
                                      ^
    ~set_style --requests-------------+        housekeeping: subscribe or not, ~status

The callback only stores.  One worker thread owns TensorFlow: it loads the model, answers style
requests between frames, and paints.  The housekeeping thread runs on wall time, whatever
``/use_sim_time`` says.
"""
import concurrent.futures
import queue
import threading
import time

import rospy
from sensor_msgs.msg import Image

from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.srv import ListStyles, ListStylesResponse, SetStyle, SetStyleResponse

from .. import images
from ..errors import ImageError, StyleTransferError
from ..latest import Frame, LatestSlot
from ..meter import Meter
from ..options import check_options
from ..style_library import StyleLibrary
from . import conversions, params

STATUS_PERIOD = 1.0  # seconds
STYLE_TIMEOUT = 60.0  # seconds a style request waits for its turn, a model's loading included
PATIENCE = 5.0  # seconds without a frame until a warning
BUFFER = 2**26  # bytes; a smaller one than a frame makes rospy lag behind (ros_comm#536)


class StyleTransferNode:
    """The node.  The constructor touches no middleware; `setup` connects, `shutdown` ends.

    Args:
        parameters: `params.Parameters`.
    """

    def __init__(self, parameters):
        self._parameters = parameters
        self._library = StyleLibrary(parameters.style_dirs)
        self._picture = self._library.read(parameters.style)
        self._style, self._strength = parameters.style, float(parameters.strength)
        self._state, self._message = StyleStatus.LOADING, "loading %s" % parameters.model
        self._slot, self._requests = LatestSlot(), queue.Queue()
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
        rospy.on_shutdown(self.shutdown)
        for target in (self._work, self._keep_house):
            thread = threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True)
            thread.start()
            self._threads.append(thread)

    def shutdown(self):
        """Stop both threads; returns when they have ended, 2 s at most."""
        self._stop.set()
        self._peers_changed.set()
        self._slot.wake()
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
        return ListStylesResponse(list(paths), list(paths.values()), self._style)

    def _on_set_style(self, request):
        try:
            if request.set_strength:
                check_options(strength=request.strength)
            elif request.strength:
                raise StyleTransferError(
                    "strength %g was given without set_strength: true; say both or neither" % request.strength)
            picture = self._library.read(request.style) if request.style else None
            done = concurrent.futures.Future()
            self._requests.put((done, request, picture))
            self._slot.wake()
            message = done.result(STYLE_TIMEOUT)
            return SetStyleResponse(True, message, self._style, self._strength)
        except concurrent.futures.TimeoutError:
            done.cancel()  # or it would be applied after all, some time
            message = "the style was not set within %g s (state: %s)" % (STYLE_TIMEOUT, self._state)
        except StyleTransferError as error:
            message = str(error)
        rospy.logwarn("set_style: %s", message)
        return SetStyleResponse(False, message, self._style, self._strength)

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

    def _load(self):
        started = time.monotonic()
        from ..stylizer import Stylizer  # TensorFlow's import takes seconds; the node is up meanwhile

        p = self._parameters
        stylizer = Stylizer(p.model, p.levels, p.dtype)
        stylizer.set_style(self._picture)
        stylizer.warm_up()
        self._say(StyleStatus.READY, "%s loaded in %.1f s" % (p.model, time.monotonic() - started))
        return stylizer

    def _answer_requests(self, stylizer):
        """Answer what waits; with no ``stylizer``, since it could not be loaded, by refusing."""
        while True:
            try:
                done, request, picture = self._requests.get_nowait()
            except queue.Empty:
                return
            if not done.set_running_or_notify_cancel():
                continue
            if stylizer is None:
                done.set_exception(StyleTransferError(self._message))
                continue
            if picture is not None:
                stylizer.set_style(picture)
                self._style = request.style
            if request.set_strength:
                self._strength = request.strength
            message = "style %s, strength %g" % (self._style, self._strength)
            self._say(self._state, message)
            done.set_result(message)

    def _paint(self, stylizer, frame):
        try:
            rgb = images.limit(conversions.to_rgb(frame.message), self._parameters.max_side)
            painted = stylizer.stylize(rgb, self._strength)
            self._publisher.publish(conversions.to_message(painted, frame.message.header))
        except rospy.ROSException:
            return  # shutting down: the publisher is closed
        except ImageError as error:
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
                self._subscribe_if_heard()
                if time.monotonic() >= due:
                    due = time.monotonic() + STATUS_PERIOD
                    self._warn_if_blind()
                    self._publish_status()
            except Exception as error:  # the master may be away for a moment
                if not self._stop.is_set():
                    rospy.logerr_throttle_identical(10, "housekeeping: %s" % error)

    def _subscribe_if_heard(self):
        heard = self._publisher.get_num_connections() > 0
        if heard and self._subscriber is None and not self._stop.is_set():
            self._subscriber = rospy.Subscriber(
                "image", Image, self._on_image, queue_size=1, buff_size=BUFFER, tcp_nodelay=True)
            self._subscribed = time.monotonic()
        elif not heard and self._subscriber is not None:
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
            state=state, model=self._parameters.model, style=self._style, strength=self._strength,
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
    rospy.init_node("style_transfer")
    try:
        node = StyleTransferNode(params.read())
    except StyleTransferError as error:
        rospy.logfatal("style_transfer: %s", error)
        raise SystemExit(1) from None
    node.setup()
    rospy.spin()
