"""The panel's connection to the node.  Nothing here blocks the GUI thread.

Data flow::

    topics --callbacks--> the newest message of each --`take`, at the GUI's own pace--> GUI
    GUI --`run`--> a thread that may wait (for the master, a service, the action server, a file) --signal--> GUI

All methods must be called from the GUI thread, and their callbacks are called in it.
"""

import os
import re
import threading
import time
from typing import Any, Callable, Mapping

import actionlib
import rospy
from diagnostic_msgs.msg import KeyValue
from dynamic_reconfigure.msg import Config
from python_qt_binding.QtCore import QObject, Signal
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from ros_style_transfer.msg import RenderAction, RenderGoal, RenderProgress, StyleStatus
from ros_style_transfer.srv import AddStyle, ListStyles, SetStyle, SetStyleRequest

from ...controls import check_choice
from ...media import images
from .. import conversions
from ..camera_stream import TRANSPORTS, subscribe

SERVER_TIMEOUT = 5.0  # seconds that a render waits for the action server
MAX_STYLE_SIDE = 1024  # pixels of an added style; no model uses more
THUMBNAIL = 96  # pixels


class PanelClient(QObject):
    """The node as the panel sees it.  The constructor touches no middleware; `setup` connects.

    Args:
        node: the node's name, which may be remapped.
        image: the camera's topic, which may be remapped.

    Attributes:
        node, image: the resolved names; None until the master is reached.
    """

    _answered = Signal(object, object)

    def __init__(self, node: str = "style_transfer", image: str = "image") -> None:
        super().__init__()
        self._names = node, image
        self.node = self.image = None
        self._newest = {}
        self._status = None  # its subscriber
        self._subscribers = []
        self._actions = self._goal = None
        self._cancelled = False
        self._answered.connect(self._deliver)

    def setup(self, then: Callable[[Any], Any]) -> None:
        """Connect as soon as the master is reached, then call ``then`` with None or the exception."""
        self.run(self._connect, then)

    def shutdown(self) -> None:
        """Unsubscribe; callbacks of pending requests are not called any more."""
        self._answered.disconnect()
        for subscriber in self._subscribers:
            subscriber.unregister()
        if self._actions is not None:
            self._actions.stop()

    # --- messages from the node -------------------------------------------------------------

    def take(self, name: str) -> Any:
        """The newest message on a topic that was not taken yet, or None."""
        return self._newest.pop(name, None)

    def connected(self) -> bool:
        """Whether a node publishes its status."""
        return self._status is not None and self._status.get_num_connections() > 0

    def _connect(self):
        if not rospy.core.is_initialized():  # rqt has its own node
            rospy.init_node("style_panel", anonymous=True, disable_signals=True)
        transport = rospy.get_param("~image_transport", TRANSPORTS[0])
        check_choice("~image_transport", transport, TRANSPORTS)
        node, image = (rospy.resolve_name(name) for name in self._names)
        for name, topic, kind in (
            ("status", "status", StyleStatus),
            ("parameters", "parameter_updates", Config),
            ("progress", "render/progress", RenderProgress),
        ):
            self._subscribers.append(
                rospy.Subscriber("%s/%s" % (node, topic), kind, self._store, callback_args=name, queue_size=1)
            )
        for name, topic, way in (
            ("camera", image, transport),
            ("painted", node + "/image", transport),
            ("render", node + "/render/image", "raw"),
            ("render", node + "/render/preview", "raw"),
        ):
            self._subscribers.append(subscribe(topic, lambda message, name=name: self._store(message, name), way))
        self._status = self._subscribers[0]
        self.node, self.image = node, image

    def _store(self, message, name):
        if not conversions.is_empty(message):
            self._newest[name] = message

    # --- requests to the node ---------------------------------------------------------------

    def run(self, work: Callable[[], Any], then: Callable[[Any], Any] = lambda answer: None) -> None:
        """Call ``work()`` in a thread of its own, then ``then`` with its result or its exception in this thread."""

        def target():
            try:
                answer = work()
            except Exception as problem:  # the panel shows any
                answer = problem
            self._answer(then, answer)

        threading.Thread(target=target, name="panel's request", daemon=True).start()

    def _answer(self, then, answer):
        try:
            self._answered.emit(then, answer)
        except RuntimeError:
            pass  # the window is closed

    def _deliver(self, then, answer):
        then(answer)

    def call(self, service: str, kind: Any, then: Callable[[Any], Any], *args: Any) -> None:
        """Call the node's ``service``, then ``then`` with its response or the exception."""
        self.run(lambda: rospy.ServiceProxy("%s/%s" % (self.node, service), kind)(*args), then)

    def change(self, wanted: Mapping[str, Any], then: Callable[[Any], Any]) -> None:
        """Call `SetStyle` with the controls in ``wanted``, and with ``styles`` and ``weights`` if it has them."""
        controls = dict(wanted)
        request = SetStyleRequest(styles=controls.pop("styles", []), weights=controls.pop("weights", []))
        if "strength" in controls:
            request.set_strength, request.strength = True, controls.pop("strength")
        request.controls = [KeyValue(name, str(value)) for name, value in controls.items()]
        self.call("set_style", SetStyle, then, request)

    def list_styles(self, then: Callable[[Any], Any]) -> None:
        """Call `ListStyles`."""
        self.call("list_styles", ListStyles, then)

    def save(self, then: Callable[[Any], Any]) -> None:
        """Have the node save its newest frame."""
        self.call("save", Trigger, then)

    def pause(self, paused: bool, then: Callable[[Any], Any]) -> None:
        """Pause the node or let it continue."""
        self.call("pause", SetBool, then, paused)

    def add_style(self, path: str, use: bool, then: Callable[[Any], Any]) -> None:
        """Send the picture at ``path`` to the node as a style.

        ``then`` is called with (response, name of the style, thumbnail) or the exception.
        """

        def work():
            rgb = images.limit(images.read(path), MAX_STYLE_SIDE)
            stem = os.path.splitext(os.path.basename(path))[0]
            name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")[:64]
            add = rospy.ServiceProxy(self.node + "/add_style", AddStyle)
            return add(name, conversions.to_message(rgb, Header()), use), name, _thumbnail(rgb)

        self.run(work, then)

    def thumbnail(self, path: str, then: Callable[[Any], Any]) -> None:
        """Read the picture at ``path``, square and small, RGB; `FileNotFoundError` if it is on another computer."""

        def work():
            if not os.path.isfile(path):
                raise FileNotFoundError(path)
            return _thumbnail(images.read(path))

        self.run(work, then)

    def render(self, goal: Mapping[str, Any], then: Callable[[Any], Any]) -> None:
        """Send a `RenderGoal` with these fields; ``then`` is called with the result or the exception at its end."""
        self._goal, self._cancelled = None, False

        def ended(handle):
            if handle.get_comm_state() == actionlib.CommState.DONE:
                result = handle.get_result()
                self._answer(
                    then,
                    result
                    if result and result.message
                    else rospy.ROSException("the render was lost; the node may have been restarted"),
                )

        def work():
            if self._actions is None:
                self._actions = actionlib.ActionClient(self.node + "/render_action", RenderAction)
            until = time.monotonic() + SERVER_TIMEOUT
            # A negative time only looks; a positive one would wait for ever while simulated time stands still.
            while not self._actions.wait_for_server(rospy.Duration(-1)):
                if time.monotonic() > until:
                    raise rospy.ROSException("no action server answers as %s/render_action" % self.node)
                time.sleep(0.05)
            self._goal = self._actions.send_goal(RenderGoal(**goal), ended)
            if self._cancelled:  # in the meantime
                self._goal.cancel()

        self.run(work, lambda answer: then(answer) if answer is not None else None)

    def cancel(self, own: bool, then: Callable[[Any], Any]) -> None:
        """Cancel the render that `render` sent (``own``), or whichever the node is working on."""
        if not own:
            self.call("render/cancel", Trigger, then)
            return
        self._cancelled = True
        if self._goal is not None:
            self.run(self._goal.cancel)


def _thumbnail(rgb):
    side = min(rgb.shape[:2])
    top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
    return images.resize(images.limit(rgb[top : top + side, left : left + side], 2 * THUMBNAIL), THUMBNAIL, THUMBNAIL)
