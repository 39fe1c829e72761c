"""A node as a graphical interface sees it.  Nothing here blocks the thread of the interface.

Data flow::

    topics --callbacks--> the newest message of each --`take`, at the interface's own pace--> interface
    interface --`run`--> a thread that may wait (for the master, a service, the action server, a file) --> `deliver`
"""

import os
import re
import threading
import time
from typing import Any, Callable, Dict, Hashable, List, Mapping, NamedTuple, Optional, Tuple, Union

import actionlib
import numpy as np
import rosgraph
import rospy
from actionlib_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray, KeyValue
from dynamic_reconfigure.msg import Config
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from ros_style_transfer.msg import RenderAction, RenderGoal, RenderProgress, StyleStatus
from ros_style_transfer.srv import AddStyle, ListStyles, SetStyle, SetStyleRequest

from ..controls import check_choice
from ..errors import OptionError
from ..media import images
from ..ros_common.params import parse_names
from ..ros_common.topic_hints import RAW, TRANSPORTS
from . import conversions
from .camera_stream import subscribe

SERVER_TIMEOUT = 5.0  # seconds that a render waits for the action server
MAX_STYLE_SIDE = 1024  # pixels of an added style; no model uses more
THUMBNAIL = 96  # pixels

STATE_TOPICS = {
    "status": ("status", StyleStatus),
    "parameters": ("parameter_updates", Config),
    "progress": ("render/progress", RenderProgress),
}

Answer = Callable[[Any], Any]  # called with a response, or with the exception that prevented it


class RenderCancelled(Exception):
    """A render ended because it was cancelled."""


class ImageTopic(NamedTuple):
    """The name of a topic of images, and the transport by which they arrive, one of `TRANSPORTS`."""

    name: str
    transport: str


class NodeClient:
    """The connection of a graphical interface to a node.  The constructor touches no middleware; `setup` connects.

    Args:
        node: the node's name, which may be remapped.
        image: the camera's topic, which may be remapped.
        deliver: called from other threads with an `Answer` and what to call it with; by default it calls it there.
        name: of the interface's own node, unless the process has one already.
        thumbnail_side: pixels of a thumbnail.
        notify: called from other threads with a name that `take` knows when a message has arrived.

    Attributes:
        node, image: the resolved names; None until the master is reached.
        transport: of the camera's and the painted frames, one of `TRANSPORTS`.
    """

    def __init__(
        self,
        node: str = "style_transfer",
        image: str = "image",
        deliver: Callable[[Answer, Any], Any] = lambda then, answer: then(answer),
        name: str = "style_panel",
        thumbnail_side: int = THUMBNAIL,
        notify: Callable[[Hashable], Any] = lambda name: None,
    ) -> None:
        self.node: Optional[str] = None
        self.image: Optional[str] = None
        self.transport = RAW
        self._names = node, image
        self._name = name
        self._thumbnail_side = thumbnail_side
        self._deliver, self._notify = deliver, notify
        self._newest: Dict[Hashable, Any] = {}
        self._state_subscribers: Dict[str, rospy.Subscriber] = {}
        self._image_subscribers: Dict[Hashable, Tuple[ImageTopic, rospy.Subscriber]] = {}
        self._subscribing = threading.Lock()
        self._actions: Optional[actionlib.ActionClient] = None
        self._goal: Optional[actionlib.ClientGoalHandle] = None
        self._cancelled = False

    def setup(self, then: Answer) -> None:
        """Connect as soon as the master is reached, then call ``then`` with None or the exception."""
        self.run(self.connect, then)

    def connect(self) -> None:
        """Subscribe to the node's state; blocks until the master is reached."""
        if not rospy.core.is_initialized():  # rqt has its own node
            rospy.init_node(self._name, anonymous=True, disable_signals=True)
        transport = rospy.get_param("~image_transport", RAW)
        check_choice("~image_transport", transport, TRANSPORTS)
        node, image = (rospy.resolve_name(name) for name in self._names)
        self.node, self.image, self.transport = node, image, transport
        with self._subscribing:
            self._subscribe_to_state()

    def reconnect(self) -> None:
        """Subscribe to everything again, because the master was restarted and has forgotten everything; may block."""
        with self._subscribing:
            for subscriber in self._subscribers():
                subscriber.unregister()
            self._subscribe_to_state()
            self._image_subscribers = {
                name: (topic, self._subscribe_to_images(name, topic))
                for name, (topic, _) in self._image_subscribers.items()
            }
            if self._actions is not None:
                self._actions.stop()
                self._actions = None

    def shutdown(self) -> None:
        """Unsubscribe; callbacks of pending requests are not called any more."""
        self._deliver = lambda then, answer: None
        for subscriber in self._subscribers():
            subscriber.unregister()
        if self._actions is not None:
            self._actions.stop()

    def _subscribers(self) -> List[rospy.Subscriber]:
        return [*self._state_subscribers.values(), *(subscriber for _, subscriber in self._image_subscribers.values())]

    # --- messages from the node -------------------------------------------------------------------

    def take(self, name: Hashable) -> Any:
        """The newest message that was not taken yet, or None.

        Args:
            name: ``status``, ``parameters``, ``progress``, ``model`` (facts of the node's model, texts by name), or a
                name that `watch` was given.
        """
        return self._newest.pop(name, None)

    def connected(self) -> bool:
        """Whether a node publishes its status."""
        status = self._state_subscribers.get("status")
        return status is not None and status.get_num_connections() > 0

    def cameras(self) -> Tuple[str, ...]:
        """The names of the node's cameras, ``("",)`` if it has only one; may block."""
        names = rospy.get_param("%s/cameras" % self.node, "")
        try:
            return parse_names(names) if names else ("",)
        except OptionError:  # the node has refused it, too
            return ("",)

    def image_topics(self, camera: str = "") -> Dict[str, ImageTopic]:
        """The topics of ``camera``, empty for a node's only one: ``camera``, ``painted``; of renders: ``preview``,
        ``render``."""
        image = rospy.resolve_name(camera + "/image") if camera else self.image
        painted = "/".join([str(self.node), *([camera] if camera else []), "image"])
        return {
            "camera": ImageTopic(str(image), self.transport),
            "painted": ImageTopic(painted, self.transport),
            "preview": ImageTopic("%s/render/preview" % self.node, RAW),
            "render": ImageTopic("%s/render/image" % self.node, RAW),
        }

    def watch(self, wanted: Mapping[Any, ImageTopic]) -> None:
        """Subscribe to these images, by the names for `take`, and to no others; may block."""
        with self._subscribing:
            for name, (topic, subscriber) in list(self._image_subscribers.items()):
                if wanted.get(name) != topic:
                    subscriber.unregister()
                    del self._image_subscribers[name]
            for name, topic in wanted.items():
                if name not in self._image_subscribers:
                    self._image_subscribers[name] = (topic, self._subscribe_to_images(name, topic))

    def _subscribe_to_state(self) -> None:
        self._state_subscribers = {
            name: rospy.Subscriber("%s/%s" % (self.node, topic), kind, self._store, callback_args=name, queue_size=1)
            for name, (topic, kind) in STATE_TOPICS.items()
        }
        self._state_subscribers["model"] = rospy.Subscriber("/diagnostics", DiagnosticArray, self._store_diagnosis)

    def _subscribe_to_images(self, name: Hashable, topic: ImageTopic) -> rospy.Subscriber:
        def store(message: Any) -> None:
            if not conversions.is_empty(message):
                self._store(message, name)

        return subscribe(topic.name, store, topic.transport)

    def _store(self, message: Any, name: Hashable) -> None:
        self._newest[name] = message
        self._notify(name)

    def _store_diagnosis(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.hardware_id == self.node and status.name.endswith(": model"):
                self._store({item.key: item.value for item in status.values}, "model")

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

    def change(self, values: Mapping[str, Any], then: Answer) -> None:
        """Call `SetStyle`.

        Args:
            values: by name: ``styles``, ``weights``, ``fade``, ``mask``, ``max_side``, and any control.
        """
        controls = dict(values)
        request = SetStyleRequest(
            styles=controls.pop("styles", []),
            weights=controls.pop("weights", []),
            fade=controls.pop("fade", 0.0),
            mask=controls.pop("mask", ""),
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

    def add_style(self, path: str, use: bool, then: Answer, name: str = "") -> None:
        """Send the picture at ``path`` to the node as a style.

        ``then`` is called with (response, name of the style, thumbnail) or the exception.

        Args:
            use: whether it becomes the current style.
            name: that the style's is made from; the file's unless given.
        """

        def work() -> Any:
            rgb = images.limit_longest_side(images.read(path), MAX_STYLE_SIDE)
            stem = name or os.path.splitext(os.path.basename(path))[0]
            style = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")[:64]
            add = rospy.ServiceProxy("%s/add_style" % self.node, AddStyle)
            return (
                add(style, conversions.to_message(rgb, Header()), use),
                style,
                make_thumbnail(rgb, self._thumbnail_side),
            )

        self.run(work, then)

    def thumbnail(self, path: str, then: Answer) -> None:
        """Read the picture at ``path``, square and small, RGB; `FileNotFoundError` if it is on another computer."""

        def work() -> np.ndarray:
            if not os.path.isfile(path):
                raise FileNotFoundError(path)
            return make_thumbnail(images.read(path), self._thumbnail_side)

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


def make_thumbnail(rgb: np.ndarray, side: int = THUMBNAIL) -> np.ndarray:
    """The central square of ``rgb``, uint8 ``[h, w, 3]``, with ``side`` pixels a side."""
    shorter = min(rgb.shape[:2])
    top, left = (rgb.shape[0] - shorter) // 2, (rgb.shape[1] - shorter) // 2
    return images.resize(
        images.limit_longest_side(rgb[top : top + shorter, left : left + shorter], 2 * side), side, side
    )


def values_of(config: Config) -> Dict[str, Any]:
    """The fields of a message of dynamic_reconfigure by name."""
    kinds = (config.bools, config.ints, config.strs, config.doubles)
    return {item.name: item.value for kind in kinds for item in kind}


def master_pid() -> int:
    """The process of the ROS master, which is another one after a restart; may block.

    Raises:
        OSError, rosgraph.MasterException: it does not answer.
    """
    return rosgraph.Master(rospy.get_name()).getPid()
