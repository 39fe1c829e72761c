"""What the page shows and does: the node as all viewers see it, and their requests to the node.

Data flow::

    NodeClient --messages--> WebPanel --> State: sections that change --> every viewer
                                      --> Feed of each camera ----------> the viewers that look at it
    viewers --requests--> WebPanel --> NodeClient

Everything belongs to the event loop's thread; what may block runs in the threads of `Background`.
"""

import asyncio
import math
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

import rosgraph
import rospy

from ...media.style_library import split_names
from ..camera_stream import explain_silence
from ..node_client import NodeClient, master_pid, values_of
from . import notices, requests
from .background import Background
from .frames import CAMERA, PAINTED, Feed
from .notices import Notice
from .renders import Renders
from .state import State, finite
from .styles import THUMBNAIL, Styles

PERIOD = 1.0  # seconds between two checks of the node and the master
STATUS_TIMEOUT = 5.0  # seconds without a status until the node counts as gone
FRAME_TIMEOUT = 3.0  # seconds without a frame until the page says so
MASTER_TIMEOUT = 5.0  # seconds for the master to answer
GRACE = 2.0  # seconds for which frames are still subscribed to when the last viewer has left, who may reload the page
STATUS_NUMBERS = ("strength", "input_rate", "output_rate", "latency", "dropped", "failed")  # of a StyleStatus
STATUS_TIMES = ("decode", "network", "encode", "publish")  # of a frame, in the same message


class Answer(NamedTuple):
    """Whether a request succeeded, and what was done or what was wrong."""

    success: bool
    message: str


class WebPanel:
    """The node as all viewers see it.  `setup` connects; `shutdown` ends.

    Args:
        node, image: see `NodeClient`.

    Attributes:
        state: what all viewers know.
        styles, renders: of the node.
    """

    def __init__(self, node: str = "style_transfer", image: str = "image") -> None:
        self._background = Background()
        self._client = NodeClient(node, image, self._background.post, "web_panel", THUMBNAIL, self._notify)
        self.state = State()
        self.styles = Styles(self._client, self._background, self.state)
        self.renders = Renders(self._client, self._background, self.state)
        self._feeds: Dict[str, Feed] = {}
        self._tasks: List[asyncio.Task[Any]] = []
        self._views_changed = asyncio.Event()
        self._watched: Dict[Any, Any] = {}  # images that are subscribed to
        self._watched_time = 0.0
        self._master: Optional[int] = None  # its process
        self._master_call: Optional[asyncio.Future[int]] = None
        self._status_time = -math.inf
        self._connected = False
        self.state.set("cameras", [""])

    async def setup(self) -> None:
        """Connect; returns when the master is reached."""
        while await self._ask_master() is None:  # rospy would go on without it, and fail
            await asyncio.sleep(PERIOD)
        await self._background.block(self._client.connect)
        await self._check()
        self._tasks = [asyncio.ensure_future(self._check_forever()), asyncio.ensure_future(self._subscribe_forever())]

    def shutdown(self) -> None:
        """Stop watching the node.  rospy's own shutdown disconnects."""
        for task in self._tasks:
            task.cancel()

    # --- viewers --------------------------------------------------------------------------------

    def feed(self, camera: str) -> Feed:
        """The frames of a camera."""
        if camera not in self._feeds:
            self._feeds[camera] = Feed(self._background.encoders)
        return self._feeds[camera]

    def views_changed(self) -> None:
        """A viewer came, left, or looks at something else."""
        self._views_changed.set()
        self.state.set("viewers", len(self.state.viewers))

    async def request(self, message: Mapping[str, Any]) -> Answer:
        """Do what a viewer asks for, see `requests`."""
        try:
            return _answer(await self._request(message["do"], message))
        except Exception as error:  # the page shows any
            return _answer(error)

    async def add_style(self, name: str, data: bytes, use: bool) -> Answer:
        """See `Styles.add`."""
        try:
            return _answer(await self.styles.add(name, data, use))
        except Exception as error:  # the page shows any
            return _answer(error)

    async def _request(self, do: str, message: Mapping[str, Any]) -> Any:
        ask, client = self._background.ask, self._client
        if do == "change":
            return await ask(client.change, requests.parse_change(message, self.styles.paths, self.state["masks"]))
        if do == "pause":
            return await ask(client.pause, message.get("paused") is True)
        if do == "save":
            return await ask(client.save)
        if do == "render":
            return self.renders.begin(message)
        if do == "cancel":
            return await self.renders.cancel()
        return Answer(False, "unknown request %r" % do)

    # --- subscriptions ------------------------------------------------------------------------------

    def _wanted(self) -> Dict[Any, Any]:
        """The images that viewers look at, by their names for `NodeClient.watch`."""
        wanted: Dict[Any, Any] = {}
        for view in {viewer.view for viewer in self.state.viewers if viewer.view.visible}:
            topics = self._client.image_topics(view.camera)
            wanted[PAINTED, view.camera] = topics[PAINTED]
            if view.both:
                wanted[CAMERA, view.camera] = topics[CAMERA]
            wanted["preview"], wanted["render"] = topics["preview"], topics["render"]
        return wanted

    async def _subscribe_forever(self) -> None:
        while True:
            await self._views_changed.wait()
            self._views_changed.clear()
            if not set(self._watched) <= set(self._wanted()):  # somebody left, and may come back
                try:
                    await asyncio.wait_for(self._views_changed.wait(), GRACE)
                except asyncio.TimeoutError:
                    pass
            wanted = self._wanted()
            if wanted != self._watched:
                try:
                    await self._background.block(self._client.watch, wanted)
                except Exception as error:  # the network may be away for a moment
                    rospy.logwarn_throttle(60, "web_panel: cannot subscribe: %r" % error)
                    self._views_changed.set()
                    await asyncio.sleep(PERIOD)
                    continue
                self._watched, self._watched_time = wanted, time.monotonic()
                for camera, feed in self._feeds.items():
                    if (PAINTED, camera) not in wanted:
                        feed.clear()

    # --- the node and the master --------------------------------------------------------------------

    async def _check_forever(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            try:
                await self._check()
            except Exception as error:  # whatever the network does, the next check may succeed
                rospy.logwarn_throttle(60, "web_panel: %r" % error)

    async def _check(self) -> None:
        """Look after the master, the node, and what is missing."""
        pid = await self._ask_master()
        if pid is not None:
            if self._master not in (None, pid):
                rospy.loginfo("web_panel: the ROS master was restarted")
                await self._background.block(self._client.reconnect)
            self._master = pid
        connected = self._client.connected() and time.monotonic() - self._status_time < STATUS_TIMEOUT
        if connected and not self._connected:
            self.state.set("cameras", list(await self._background.block(self._client.cameras)))
            self.styles.expire()
        if not connected:
            self.state.set("status", None)
        self._connected = connected
        self.renders.follow(connected)
        if connected and self.state.viewers:
            self.styles.refresh()
        cameras = sorted({viewer.view.camera for viewer in self.state.viewers} or {""})
        found = {camera: await self._notice(camera, pid is not None) for camera in cameras}
        self.state.set("notices", {camera: notice and notice._asdict() for camera, notice in found.items()})

    async def _ask_master(self) -> Optional[int]:
        """The master's process; None if it does not answer."""
        if self._master_call is None or self._master_call.done():
            self._master_call = asyncio.ensure_future(self._background.block(master_pid))
        try:
            return await asyncio.wait_for(asyncio.shield(self._master_call), MASTER_TIMEOUT)
        except (asyncio.TimeoutError, OSError, rosgraph.MasterException):
            return None

    async def _notice(self, camera: str, master: bool) -> Optional[Notice]:
        """Why nothing is coming from ``camera``; None if all is well."""
        client, status = self._client, self.state["status"]
        if not master:
            return notices.of_master(rosgraph.get_master_uri())
        if status is None:
            silence = time.monotonic() - self._status_time
            heard = client.connected() and silence < math.inf
            return notices.of_absence(str(client.node), str(client.image), silence if heard else None)
        return notices.of_status(status, bool((self.state["parameters"] or {}).get("paused"))) or (
            await self._notice_of_frames(camera)
        )

    async def _notice_of_frames(self, camera: str) -> Optional[Notice]:
        now, feed, topics = time.monotonic(), self.feed(camera), self._client.image_topics(camera)
        for kind, what, last in (
            (CAMERA, "camera frame", feed.camera_time),
            (PAINTED, "stylized frame", feed.painted_time),
        ):
            if (kind, camera) in self._watched and now - max(last, self._watched_time) > FRAME_TIMEOUT:
                topic = topics[kind]
                reason = await self._background.block(explain_silence, topic.name, topic.transport, "image")
                return notices.of_silence(what, topic.name, reason)
        return None

    # --- messages from the node -----------------------------------------------------------------------

    def _notify(self, name: Any) -> None:
        self._background.post(self._on_message, name)

    def _on_message(self, name: Any) -> None:
        message = self._client.take(name)
        if message is None:
            return  # an earlier call has taken it
        if isinstance(name, tuple):
            kind, camera = name
            feed = self.feed(camera)
            (feed.put_camera if kind == CAMERA else feed.put_painted)(message)
        elif name == "status":
            self._status_time = time.monotonic()
            self.state.set("status", self._describe(message))
        elif name == "parameters":
            self.state.set("parameters", values_of(message))
        elif name == "model":
            self.state.set("model", message)
        elif name == "progress":
            self.renders.on_progress(message)
        else:
            self.renders.on_picture(name, message)

    def _describe(self, status: Any) -> Dict[str, Any]:
        """A `StyleStatus` as the page gets it."""
        described = {name: finite(getattr(status, name)) for name in STATUS_NUMBERS}
        described["times"] = {name: finite(getattr(status, name + "_time")) for name in STATUS_TIMES}
        described.update(state=status.state, model=status.model, message=status.message, controls=status.controls)
        described["styles"] = list(split_names(status.style, self.styles.paths))
        described["weights"] = [finite(weight) for weight in status.weights]
        return described


def _answer(answer: Any) -> Answer:
    """An answer of any kind: a text, a service's response, an exception."""
    if isinstance(answer, Answer):
        return answer
    if isinstance(answer, (str, Exception)):
        return Answer(isinstance(answer, str), str(answer))
    return Answer(bool(answer.success), answer.message)
