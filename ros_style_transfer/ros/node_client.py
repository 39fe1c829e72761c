"""A node as a graphical interface sees it.  Nothing here blocks the thread of the interface.

Data flow::

    topics --callbacks--> the newest message of each --`take`, at the interface's own pace--> interface
    interface --`run`--> a thread that may wait (for the master, a service, the action server, a file) --> `deliver`
"""

import os
import re
import threading
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Union

import actionlib
import numpy as np
import rospy
from actionlib_msgs.msg import GoalStatus
from diagnostic_msgs.msg import KeyValue
from dynamic_reconfigure.msg import Config
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from ros_style_transfer.msg import RenderAction, RenderGoal, RenderProgress, StyleStatus
from ros_style_transfer.srv import AddStyle, ListStyles, SetStyle, SetStyleRequest

from ..controls import check_choice
from ..media import images
from ..ros_common.topic_hints import TRANSPORTS
from . import conversions
from .camera_stream import subscribe

SERVER_TIMEOUT = 5.0  # seconds that a render waits for the action server
MAX_STYLE_SIDE = 1024  # pixels of an added style; no model uses more
THUMBNAIL = 96  # pixels

Answer = Callable[[Any], Any]  # called with a response, or with the exception that prevented it


class RenderCancelled(Exception):
    """A render ended because it was cancelled."""


class NodeClient:
    """The connection of a graphical interface to a node.  The constructor touches no middleware; `setup` connects.

    Args:
        node: the node's name, which may be remapped.
        image: the camera's topic, which may be remapped.
        deliver: called from other threads with an `Answer` and what to call it with; by default it calls it there.

    Attributes:
        node, image: the resolved names; None until the master is reached.
    """

    def __init__(
        self,
        node: str = "style_transfer",
        image: str = "image",
        deliver: Callable[[Answer, Any], Any] = lambda then, answer: then(answer),
    ) -> None:
        self.node: Optional[str] = None
        self.image: Optional[str] = None
        self._names = node, image
        self._deliver = deliver
        self._newest: Dict[str, Any] = {}
        self._status: Optional[rospy.Subscriber] = None
        self._subscribers: List[rospy.Subscriber] = []
        self._actions: Optional[actionlib.ActionClient] = None
        self._goal: Optional[actionlib.ClientGoalHandle] = None
        self._cancelled = False

    def setup(self, then: Answer) -> None:
        """Connect as soon as the master is reached, then call ``then`` with None or the exception."""
        self.run(self._connect, then)

    def shutdown(self) -> None:
        """Unsubscribe; callbacks of pending requests are not called any more."""
        self._deliver = lambda then, answer: None
        for subscriber in self._subscribers:
            subscriber.unregister()
        if self._actions is not None:
            self._actions.stop()

    # --- messages from the node -------------------------------------------------------------------

    def take(self, name: str) -> Any:
        """The newest message that was not taken yet, or None.

        Args:
            name: ``status``, ``parameters``, ``progress``, ``camera``, ``painted`` or ``render``.
        """
        return self._newest.pop(name, None)

    def connected(self) -> bool:
        """Whether a node publishes its status."""
        return self._status is not None and self._status.get_num_connections() > 0

    def _connect(self) -> None:
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

    def _store(self, message: Any, name: str) -> None:
        if not conversions.is_empty(message):
            self._newest[name] = message

    # --- requests to the node ---------------------------------------------------------------------

    def run(self, work: Callable[[], Any], then: Answer = lambda answer: None) -> None:
        """Call ``work()`` in a thread of its own, then deliver its result or its exception to ``then``."""

        def target() -> None:
            try:
                answer = work()
            except Exception as error:  # the interface shows any
                answer = error
            self._deliver(then, answer)

        threading.Thread(target=target, name="request", daemon=True).start()

    def call(self, service: str, kind: Any, then: Answer, *args: Any) -> None:
        """Call the node's ``service``, then ``then`` with its response or the exception."""
        self.run(lambda: rospy.ServiceProxy("%s/%s" % (self.node, service), kind)(*args), then)

    def change(self, wanted: Mapping[str, Any], then: Answer) -> None:
        """Call `SetStyle`.

        Args:
            wanted: values by name: ``styles``, ``weights``, ``mask``, ``max_side``, and any control.
        """
        controls = dict(wanted)
        request = SetStyleRequest(
            styles=controls.pop("styles", []), weights=controls.pop("weights", []), mask=controls.pop("mask", "")
        )
        if "strength" in controls:
            request.set_strength, request.strength = True, controls.pop("strength")
        request.controls = [KeyValue(name, str(value)) for name, value in controls.items()]
        self.call("set_style", SetStyle, then, request)

    def list_styles(self, then: Answer) -> None:
        """Call `ListStyles`."""
        self.call("list_styles", ListStyles, then)

    def save(self, then: Answer) -> None:
        """Have the node save its newest frame."""
        self.call("save", Trigger, then)

    def pause(self, paused: bool, then: Answer) -> None:
        """Pause the node or let it continue."""
        self.call("pause", SetBool, then, paused)

    def add_style(self, path: str, use: bool, then: Answer) -> None:
        """Send the picture at ``path`` to the node as a style.

        ``then`` is called with (response, name of the style, thumbnail) or the exception.
        """

        def work() -> Any:
            rgb = images.limit_longest_side(images.read(path), MAX_STYLE_SIDE)
            stem = os.path.splitext(os.path.basename(path))[0]
            name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")[:64]
            add = rospy.ServiceProxy("%s/add_style" % self.node, AddStyle)
            return add(name, conversions.to_message(rgb, Header()), use), name, make_thumbnail(rgb)

        self.run(work, then)

    def thumbnail(self, path: str, then: Answer) -> None:
        """Read the picture at ``path``, square and small, RGB; `FileNotFoundError` if it is on another computer."""

        def work() -> np.ndarray:
            if not os.path.isfile(path):
                raise FileNotFoundError(path)
            return make_thumbnail(images.read(path))

        self.run(work, then)

    def render(self, goal: Mapping[str, Any], then: Answer, on_start: Callable[[Any], Any] = lambda _: None) -> None:
        """Send a `RenderGoal`.

        Args:
            goal: the goal's fields.
            then: called at the end with the result, `RenderCancelled` or another exception.
            on_start: called with None when the turn of the render comes.
        """
        self._goal, self._cancelled = None, False

        def on_transition(handle: actionlib.ClientGoalHandle) -> None:
            state = handle.get_comm_state()
            if state == actionlib.CommState.ACTIVE:
                self._deliver(on_start, None)
            elif state == actionlib.CommState.DONE:
                self._deliver(then, _outcome(handle))

        def work() -> None:
            if self._actions is None:
                self._actions = actionlib.ActionClient("%s/render_action" % self.node, RenderAction)
            deadline = time.monotonic() + SERVER_TIMEOUT
            # A negative time only looks; a positive one would wait for ever while simulated time stands still.
            while not self._actions.wait_for_server(rospy.Duration(-1)):
                if time.monotonic() > deadline:
                    raise rospy.ROSException("no action server answers as %s/render_action" % self.node)
                time.sleep(0.05)
            self._goal = self._actions.send_goal(RenderGoal(**goal), on_transition)
            if self._cancelled:  # in the meantime
                self._goal.cancel()

        self.run(work, lambda answer: then(answer) if answer is not None else None)

    def cancel(self, own: bool, then: Answer) -> None:
        """Cancel the render that `render` sent (``own``), or whichever the node is working on."""
        if not own:
            self.call("render/cancel", Trigger, then)
            return
        self._cancelled = True
        if self._goal is not None:
            self.run(self._goal.cancel)


def _outcome(handle: actionlib.ClientGoalHandle) -> Union[Any, Exception]:
    """The result of a goal that has ended, or an exception."""
    result = handle.get_result()
    if not result or not result.message:
        return rospy.ROSException("the render was lost; the node may have been restarted")
    if handle.get_goal_status() in (GoalStatus.PREEMPTED, GoalStatus.RECALLED):
        return RenderCancelled(result.message)
    return result


def make_thumbnail(rgb: np.ndarray) -> np.ndarray:
    """The central square of ``rgb``, uint8 ``[h, w, 3]``, at the size of a thumbnail."""
    side = min(rgb.shape[:2])
    top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
    return images.resize(
        images.limit_longest_side(rgb[top : top + side, left : left + side], 2 * THUMBNAIL), THUMBNAIL, THUMBNAIL
    )
