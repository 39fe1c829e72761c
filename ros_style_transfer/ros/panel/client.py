"""What the panel knows of the node and asks of it, with nothing that could hold up the thread of the GUI.

Data flow::

    topics --callbacks--> the newest message of each --take, at the GUI's own pace--> GUI
    GUI --run--> a thread that may wait (the master, a service, the action server, a file) --signal--> GUI

Everything here is to be called from the thread of the GUI, and answers come back to it there.
"""
import os
import re
import threading
import time

import actionlib
import rospy
from diagnostic_msgs.msg import KeyValue
from dynamic_reconfigure.msg import Config
from python_qt_binding.QtCore import QObject, Signal
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from ros_style_transfer.msg import RenderAction, RenderGoal, RenderProgress, StyleStatus
from ros_style_transfer.srv import AddStyle, ListStyles, SetStyle, SetStyleRequest

from ...controls import among
from ...media import images
from .. import conversions
from ..camera_stream import TRANSPORTS, subscribe

SERVER_TIMEOUT = 5.0  # seconds that a render waits for the action server
LARGEST_STYLE = 1024  # pixels a side of an added style; more is more than any model looks at
THUMBNAIL = 96  # pixels


class PanelClient(QObject):
    """The node as the panel sees it.  The constructor touches no middleware; `setup` connects.

    Args:
        node: the node's name, which may be remapped.
        image: the camera's topic, which may be remapped.

    Attributes:
        node, image: the resolved names; None until there is a master.
    """

    _answered = Signal(object, object)

    def __init__(self, node="style_transfer", image="image"):
        super().__init__()
        self._names = node, image
        self.node = self.image = None
        self._newest = {}
        self._status = None  # its subscriber
        self._subscribers = []
        self._actions = self._goal = None
        self._cancelled = False
        self._answered.connect(self._deliver)

    def setup(self, then):
        """Connect, as soon as there is a master; ``then`` gets None, or the exception that kept it."""
        self.run(self._connect, then)

    def shutdown(self):
        """Let go of all topics; what still waits for an answer gives it to nobody."""
        self._answered.disconnect()
        for subscriber in self._subscribers:
            subscriber.unregister()
        if self._actions is not None:
            self._actions.stop()

    # --- what comes -------------------------------------------------------------------------

    def take(self, name):
        """The newest message that nobody has taken yet, or None."""
        return self._newest.pop(name, None)

    def connected(self):
        """Whether a node that publishes a status is there."""
        return self._status is not None and self._status.get_num_connections() > 0

    def _connect(self):
        if not rospy.core.is_initialized():  # under rqt it is
            rospy.init_node("style_panel", anonymous=True, disable_signals=True)
        transport = rospy.get_param("~image_transport", TRANSPORTS[0])
        among("~image_transport", transport, TRANSPORTS)
        node, image = (rospy.resolve_name(name) for name in self._names)
        for name, topic, kind in (("status", "status", StyleStatus), ("parameters", "parameter_updates", Config),
                                  ("progress", "render/progress", RenderProgress)):
            self._subscribers.append(rospy.Subscriber(
                "%s/%s" % (node, topic), kind, self._store, callback_args=name, queue_size=1))
        for name, topic, way in (
            ("camera", image, transport), ("painted", node + "/image", transport),
            ("render", node + "/render/image", "raw"), ("render", node + "/render/preview", "raw"),
        ):
            self._subscribers.append(subscribe(topic, lambda message, name=name: self._store(message, name), way))
        self._status = self._subscribers[0]
        self.node, self.image = node, image

    def _store(self, message, name):
        if not conversions.is_empty(message):
            self._newest[name] = message

    # --- what is asked ----------------------------------------------------------------------

    def run(self, work, then=lambda answer: None):
        """Do ``work()`` in a thread of its own, then ``then(answer)`` here; an exception is an answer, too."""
        def target():
            try:
                answer = work()
            except Exception as problem:  # whatever it is, the panel must say it
                answer = problem
            self._answer(then, answer)

        threading.Thread(target=target, name="panel's request", daemon=True).start()

    def _answer(self, then, answer):
        try:
            self._answered.emit(then, answer)
        except RuntimeError:
            pass  # the window is gone

    def _deliver(self, then, answer):
        then(answer)

    def call(self, service, kind, then, *args):
        """Call the node's ``service``, then ``then(its response or the exception)``."""
        self.run(lambda: rospy.ServiceProxy("%s/%s" % (self.node, service), kind)(*args), then)

    def change(self, wanted, then):
        """`SetStyle`: ``wanted`` has controls by name and ``styles`` with their ``weights``."""
        controls = dict(wanted)
        request = SetStyleRequest(styles=controls.pop("styles", []), weights=controls.pop("weights", []))
        if "strength" in controls:
            request.set_strength, request.strength = True, controls.pop("strength")
        request.controls = [KeyValue(name, str(value)) for name, value in controls.items()]
        self.call("set_style", SetStyle, then, request)

    def list_styles(self, then):
        self.call("list_styles", ListStyles, then)

    def save(self, then):
        self.call("save", Trigger, then)

    def pause(self, paused, then):
        self.call("pause", SetBool, then, paused)

    def add_style(self, path, use, then):
        """Give the node the picture at ``path`` as a style; ``then`` gets its response, name and thumbnail."""
        def work():
            rgb = images.limit(images.read(path), LARGEST_STYLE)
            stem = os.path.splitext(os.path.basename(path))[0]
            name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")[:64]
            add = rospy.ServiceProxy(self.node + "/add_style", AddStyle)
            return add(name, conversions.to_message(rgb, Header()), use), name, _thumbnail(rgb)

        self.run(work, then)

    def thumbnail(self, path, then):
        """The picture at ``path``, small and square, RGB; FileNotFoundError where the node's disk is not ours."""
        def work():
            if not os.path.isfile(path):
                raise FileNotFoundError(path)
            return _thumbnail(images.read(path))

        self.run(work, then)

    def render(self, goal, then):
        """Send a `RenderGoal`; ``then`` gets its result when it has ended, one way or another."""
        self._goal, self._cancelled = None, False

        def ended(handle):
            if handle.get_comm_state() == actionlib.CommState.DONE:
                result = handle.get_result()
                self._answer(then, result if result and result.message else rospy.ROSException(
                    "the render was lost, the node may have been restarted"))

        def work():
            if self._actions is None:
                self._actions = actionlib.ActionClient(self.node + "/render_action", RenderAction)
            until = time.monotonic() + SERVER_TIMEOUT
            # A negative time only looks: with simulated time standing still a positive one never ends.
            while not self._actions.wait_for_server(rospy.Duration(-1)):
                if time.monotonic() > until:
                    raise rospy.ROSException("no action server answers as %s/render_action" % self.node)
                time.sleep(0.05)
            self._goal = self._actions.send_goal(RenderGoal(**goal), ended)
            if self._cancelled:  # meanwhile
                self._goal.cancel()

        self.run(work, lambda answer: then(answer) if answer is not None else None)

    def cancel(self, own, then):
        """End the render: that of `render` if it is our ``own``, else whichever the node works on."""
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
