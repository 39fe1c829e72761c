"""What the page shows and does: the node's state for all viewers, and their requests to the node.

Data flow::

    NodeClient --messages--> WebPanel --sections of the state--> every viewer
                                      --Feed of each camera----> the viewers that look at it
    viewers --requests--> WebPanel --> NodeClient

Everything belongs to the event loop's thread; what may block runs in others.
"""

import asyncio
import math
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

import rosgraph
import rospy

from ...errors import ImageError, OptionError, StyleTransferError
from ...media.style_library import split_names
from .. import conversions
from ..camera_stream import explain_silence
from ..node_client import NodeClient, RenderCancelled, master_pid, values_of
from . import requests
from .frames import CAMERA, PAINTED, Feed, encode_jpeg, encode_png
from .requests import View

THUMBNAIL = 224  # pixels; a telephone shows a third of that
PERIOD = 1.0  # seconds between two checks of the node and the master
SILENCE = 5.0  # seconds without a status until the node counts as gone
FRAME_SILENCE = 3.0  # seconds without a frame until the page says so
GRACE = 2.0  # seconds for which frames are still subscribed to when the last viewer has left, who may reload the page
LISTING_PERIOD = 10.0  # seconds between two requests for the list of styles
MASTER_TIMEOUT = 5.0  # seconds for the master to answer
PROGRESS_PERIOD = 0.1  # seconds between two progresses of a render for the viewers
MAX_LOSSES = 1000  # points of the curve
STATUS_NUMBERS = ("strength", "input_rate", "output_rate", "latency", "dropped", "failed")  # of a StyleStatus
STATUS_TIMES = ("decode", "network", "encode", "publish")  # of a frame, in the same message
PROGRESS_NUMBERS = (  # of a RenderProgress
    "waiting",
    "scale",
    "scales",
    "width",
    "height",
    "iteration",
    "iterations",
    "loss",
    "seconds",
    "remaining",
)
RENDER_SIDE, RENDER_QUALITY = 1600, 90  # of a render on the page


class Answer(NamedTuple):
    """Whether a request succeeded, and what was done or what was wrong."""

    success: bool
    message: str


class Viewer:
    """What `WebPanel` needs of a browser that looks at the page."""

    view: View

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send changed sections of the state."""
        raise NotImplementedError


class WebPanel:
    """The node as all viewers see it.  `setup` connects; `shutdown` ends.

    Args:
        node, image: see `NodeClient`.

    Attributes:
        client: `NodeClient`.
        executor: where pictures are decoded and encoded.
        sections: the state that viewers get, by section; JSON can hold it.
        viewers: the browsers that look at the page.
    """

    def __init__(self, node: str = "style_transfer", image: str = "image") -> None:
        self._loop = asyncio.get_event_loop()
        self.client = NodeClient(node, image, self._post, "web_panel", THUMBNAIL, self._notify)
        self.executor = ThreadPoolExecutor(2, "encode")
        self._waiting = ThreadPoolExecutor(4, "wait")
        self.sections: Dict[str, Any] = {}
        self.viewers: Set[Viewer] = set()
        self._feeds: Dict[str, Feed] = {}
        self._tasks: List[asyncio.Task[Any]] = []
        self._views_changed = asyncio.Event()
        self._watched: Dict[Any, Any] = {}
        self._watched_time = 0.0
        self._master: Optional[int] = None
        self._master_call: Optional[asyncio.Future[int]] = None
        self._heard = -math.inf
        self._connected = False
        self._listed = -math.inf
        self._listing = False
        self._paths: Dict[str, str] = {}
        self._thumbnails: Dict[Tuple[str, Optional[str]], asyncio.Future[bytes]] = {}
        self._added: Dict[str, int] = {}  # how often a style was added
        self._mark: Any = None  # identifies our render while it runs
        self._losses: List[List[Any]] = []
        self._progressed = -math.inf
        self._pictures: Dict[str, Any] = {}  # newest messages of "preview" and "render"
        self._encoded: Dict[Tuple[str, int, str], asyncio.Future[bytes]] = {}
        self._render = dict(own=False, others=False, progress=None, message="", failed=False, preview=0, picture=None)

    async def setup(self) -> None:
        """Connect; returns when the master is reached."""
        while await self._ask_master() is None:  # rospy would go on without it, and fail
            await asyncio.sleep(PERIOD)
        await self._block(self.client.connect)
        self.set("node", {"name": self.client.node, "image": self.client.image})
        self.set("cameras", [""])
        self.set("styles", [])
        self.set("masks", [])
        self.set("render", self._render)
        self._master = await self._ask_master()
        await self._look_after()
        self._tasks = [self._loop.create_task(self._watch()), self._loop.create_task(self._subscribe())]

    def shutdown(self) -> None:
        """Stop watching the node.  rospy's own shutdown disconnects."""
        for task in self._tasks:
            task.cancel()

    # --- viewers --------------------------------------------------------------------------------

    def set(self, section: str, value: Any) -> None:
        """Change a section of the state, and tell all viewers if it is not the same as before."""
        if section not in self.sections or self.sections[section] != value:
            self.sections[section] = value
            self.tell({section: value})

    def tell(self, message: Mapping[str, Any]) -> None:
        """Tell all viewers."""
        for viewer in list(self.viewers):
            viewer.tell(message)

    def feed(self, camera: str) -> Feed:
        """The frames of a camera."""
        if camera not in self._feeds:
            self._feeds[camera] = Feed(self.executor)
        return self._feeds[camera]

    def views_changed(self) -> None:
        """A viewer came, left, or looks at something else."""
        self._views_changed.set()
        self.set("viewers", len(self.viewers))

    def _wanted(self) -> Dict[Any, Any]:
        """The images that viewers look at, by their names for `NodeClient.watch`."""
        wanted: Dict[Any, Any] = {}
        for view in {viewer.view for viewer in self.viewers if viewer.view.visible}:
            topics = self.client.image_topics(view.camera)
            wanted[PAINTED, view.camera] = topics[PAINTED]
            if view.both:
                wanted[CAMERA, view.camera] = topics[CAMERA]
            wanted["preview"], wanted["render"] = topics["preview"], topics["render"]
        return wanted

    async def _subscribe(self) -> None:
        while True:
            await self._views_changed.wait()
            self._views_changed.clear()
            wanted = self._wanted()
            if not set(self._watched) <= set(wanted):  # somebody left, and may come back
                await self._wait(self._views_changed, GRACE)
                wanted = self._wanted()
            if wanted != self._watched:
                self._watched, self._watched_time = wanted, time.monotonic()
                await self._block(self.client.watch, wanted)
                for camera, feed in self._feeds.items():
                    if (PAINTED, camera) not in wanted:
                        feed.clear()

    @staticmethod
    async def _wait(event: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    # --- the node and the master --------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PERIOD)
            try:
                await self._look_after()
            except Exception as error:  # whatever the network does, the next check may succeed
                rospy.logwarn_throttle(60, "web_panel: %r" % error)

    async def _look_after(self) -> None:
        pid = await self._ask_master()
        if pid is not None and self._master is not None and pid != self._master:
            rospy.loginfo("web_panel: the ROS master was restarted")
            await self._block(self.client.reconnect)
        self._master = pid or self._master
        connected = self.client.connected() and time.monotonic() - self._heard < SILENCE
        if connected and not self._connected:
            self._listed = -math.inf
            self.set("cameras", list(await self._block(self.client.cameras)))
            self.views_changed()
        if self._connected and not connected:
            self.set("status", None)
            if self._mark is not None:
                self._end_render(rospy.ROSException("the render ended because the node ended"))
        self._connected = connected
        others = time.monotonic() - self._progressed < SILENCE and self._mark is None
        self._set_render(others=others)
        if connected and self.viewers and not self._listing and time.monotonic() - self._listed > LISTING_PERIOD:
            self._listing = True
            self.client.list_styles(self._list)
        looked_at = {viewer.view.camera for viewer in self.viewers} or {""}
        self.set("notices", {camera: await self._notice(camera, pid is not None) for camera in sorted(looked_at)})

    async def _ask_master(self) -> Optional[int]:
        """The master's process; None if it does not answer."""
        if self._master_call is None or self._master_call.done():
            self._master_call = asyncio.ensure_future(self._block(master_pid))
        try:
            return await asyncio.wait_for(asyncio.shield(self._master_call), MASTER_TIMEOUT)
        except (asyncio.TimeoutError, OSError, rosgraph.MasterException):
            return None

    async def _notice(self, camera: str, master: bool) -> Optional[Dict[str, str]]:
        """Why nothing is coming, and what to do; None if all is well."""
        status, node = self.sections.get("status"), self.client.node
        if not master:
            return _notice(
                "error",
                "The ROS master at %s does not answer." % rosgraph.get_master_uri(),
                "Start it with roscore or roslaunch.",
            )
        if not self._connected and self.client.connected() and self._heard > -math.inf:
            return _notice(
                "error",
                "The node %s has been silent for %.0f seconds." % (node, time.monotonic() - self._heard),
                "It may be suspended or overloaded; look at its terminal.",
            )
        if not self._connected or status is None:
            return _notice(
                "error",
                "The node %s is not running." % node,
                "Start it: roslaunch ros_style_transfer stylize.launch image:=%s" % self.client.image,
            )
        if status["state"] == "loading":
            return _notice("wait", "The node is loading the model %s." % status["model"], "This takes some seconds.")
        if self.sections.get("parameters", {}).get("paused"):
            return _notice("wait", "The stream is paused.", "Press Resume.")
        if status["state"] == "error":
            return _notice("error", "Frames cannot be stylized.", status["message"])
        return await self._notice_of_frames(camera)

    async def _notice_of_frames(self, camera: str) -> Optional[Dict[str, str]]:
        now, topics = time.monotonic(), self.client.image_topics(camera)
        if now - self._watched_time < FRAME_SILENCE:
            return None
        feed = self.feed(camera)
        for kind, last in ((CAMERA, feed.camera_time), (PAINTED, feed.painted_time)):
            if (kind, camera) in self._watched and now - last > FRAME_SILENCE:
                topic = topics[kind]
                reason = await self._block(explain_silence, topic.name, topic.transport, "image")
                what = "camera frame" if kind == CAMERA else "stylized frame"
                return _notice("error", "No %s arrives on %s." % (what, topic.name), _sentence(reason))
        return None

    # --- messages from the node -----------------------------------------------------------------------

    def _post(self, function: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            pass  # the loop has ended

    def _notify(self, name: Any) -> None:
        self._post(self._on_message, name)

    def _on_message(self, name: Any) -> None:
        message = self.client.take(name)
        if message is None:
            return  # an earlier call has taken it
        if isinstance(name, tuple):
            kind, camera = name
            feed = self.feed(camera)
            (feed.put_camera if kind == CAMERA else feed.put_painted)(message)
        elif name == "status":
            self._heard = time.monotonic()
            self.set("status", self._describe(message))
        elif name == "parameters":
            self.set("parameters", values_of(message))
        elif name == "model":
            self.set("model", message)
        elif name == "progress":
            self._on_progress(message)
        elif name == "preview":
            self._pictures[name] = message
            self._set_render(preview=self._render["preview"] + 1)
        elif name == "render":
            self._pictures[name] = message
            number = (self._render["picture"] or {"number": 0})["number"] + 1
            self._set_render(picture=dict(number=number, width=message.width, height=message.height))

    def _on_progress(self, message: Any) -> None:
        progress = {name: _number(getattr(message, name)) for name in PROGRESS_NUMBERS}
        progress.update(style=message.style, note=message.note)
        if not self._losses or progress["seconds"] is None or progress["seconds"] < self._losses[-1][0]:
            self._losses = []
            self.tell({"losses": []})
        self._losses.append([progress["seconds"], progress["loss"], progress["scale"]])
        if len(self._losses) > MAX_LOSSES:
            self._losses = self._losses[::2]
        self.sections["losses"] = self._losses
        if time.monotonic() - self._progressed > PROGRESS_PERIOD:
            self._progressed = time.monotonic()
            self._set_render(progress=progress, others=self._mark is None)
            self.tell({"losses": self._losses})

    def _describe(self, status: Any) -> Dict[str, Any]:
        """A `StyleStatus` as the page gets it."""
        described = {name: _number(getattr(status, name)) for name in STATUS_NUMBERS}
        described["times"] = {name: _number(getattr(status, name + "_time")) for name in STATUS_TIMES}
        described.update(state=status.state, model=status.model, message=status.message, controls=status.controls)
        described.update(
            styles=list(split_names(status.style, self._paths)), weights=list(map(_number, status.weights))
        )
        return described

    def _set_render(self, **changes: Any) -> None:
        self._render = dict(self._render, **changes)
        self.set("render", self._render)

    # --- pictures -----------------------------------------------------------------------------------------

    async def thumbnail(self, name: str) -> bytes:
        """The JPEG file of a style's thumbnail.

        Raises:
            ImageError: the node has no such style, or its picture is on another computer.
        """
        if name not in self._paths:
            raise ImageError("there is no style of this name")
        key = (name, None) if (name, None) in self._thumbnails else (name, self._paths[name])
        if key not in self._thumbnails:
            self._thumbnails[key] = asyncio.ensure_future(self._read_thumbnail(self._paths[name]))
        try:
            return await asyncio.shield(self._thumbnails[key])
        except (OSError, StyleTransferError):
            self._thumbnails.pop(key, None)
            raise ImageError("the style's picture cannot be read here") from None

    async def _read_thumbnail(self, path: str) -> bytes:
        rgb = await self._ask(self.client.thumbnail, path)
        return await self._encode(encode_jpeg, rgb, THUMBNAIL, 85)

    async def rendered(self, name: str, ending: str) -> bytes:
        """The newest picture of "render" or "preview" as a file: "jpg", of a size for the page, or "png", in full."""
        message = self._pictures.get(name)
        if message is None:
            raise ImageError("nothing has been rendered yet")
        key = (name, id(message), ending)
        if key not in self._encoded:
            self._encoded = {kept: work for kept, work in self._encoded.items() if kept[::2] != key[::2]}

            def work() -> bytes:
                rgb = conversions.to_rgb(message)
                return encode_png(rgb) if ending == "png" else encode_jpeg(rgb, RENDER_SIDE, RENDER_QUALITY)

            self._encoded[key] = asyncio.ensure_future(self._encode(work))
        return await asyncio.shield(self._encoded[key])

    # --- requests to the node --------------------------------------------------------------------------------

    async def request(self, message: Mapping[str, Any]) -> Answer:
        """Do what a viewer asks for, see `requests`."""
        work = {
            "change": self._change,
            "pause": self._pause,
            "save": self._save,
            "render": self._begin_render,
            "cancel": self._cancel,
        }.get(message["do"])
        if work is None:
            return Answer(False, "unknown request %r" % message["do"])
        try:
            return await work(dict(message))
        except Exception as problem:  # the page shows any
            return _answer(problem)

    async def add_style(self, name: str, data: bytes, use: bool) -> Answer:
        """Send the picture file ``data`` to the node as the style ``name``."""
        try:
            await self._encode(requests.check_upload, data, name)
            with tempfile.NamedTemporaryFile() as file:
                file.write(data)
                file.flush()
                try:
                    response, style, rgb = await self._ask(self.client.add_style, file.name, use, name=name)
                except ImageError as error:
                    raise ImageError(str(error).replace(file.name, name)) from None
        except Exception as problem:  # the page shows any
            return _answer(problem)
        if response.success:
            self._thumbnails[style, None] = asyncio.ensure_future(self._encode(encode_jpeg, rgb, THUMBNAIL, 85))
            self._added[style] = self._added.get(style, 0) + 1
            self._listed = -math.inf
            self._list(await self._ask(self.client.list_styles))
        return _answer(response)

    async def _change(self, message: Dict[str, Any]) -> Answer:
        return _answer(
            await self._ask(self.client.change, requests.parse_change(message, self._paths, self.sections["masks"]))
        )

    async def _pause(self, message: Dict[str, Any]) -> Answer:
        return _answer(await self._ask(self.client.pause, message.get("paused") is True))

    async def _save(self, message: Dict[str, Any]) -> Answer:
        return _answer(await self._ask(self.client.save))

    async def _begin_render(self, message: Dict[str, Any]) -> Answer:
        if self._mark is not None:
            raise OptionError("a render is running already; wait for it, or cancel it")
        if self.sections.get("status") is None:
            raise OptionError("the node is not running")
        goal, mark = requests.parse_goal(message), object()
        self._mark = mark
        self._set_render(own=True, others=False, progress=None, message="Waiting for its turn.", failed=False)
        self.client.render(goal, lambda result: self._end_render(result) if self._mark is mark else None)
        return Answer(True, "The render has been sent to the node.")

    async def _cancel(self, message: Dict[str, Any]) -> Answer:
        if self._mark is None:
            return _answer(await self._ask(self.client.cancel, False))
        self.client.cancel(True, lambda answer: None)
        return Answer(True, "The render is being cancelled.")

    def _end_render(self, result: Any) -> None:
        self._mark, self._progressed = None, -math.inf
        answer = _answer(result)
        failed = not answer.success and not isinstance(result, RenderCancelled)
        self._set_render(own=False, others=False, progress=None, message=_sentence(answer.message), failed=failed)

    def _list(self, answer: Any) -> None:
        """Show the answer of `NodeClient.list_styles`."""
        self._listing, self._listed = False, time.monotonic()
        if isinstance(answer, Exception):  # the node is just starting or ending: try again soon
            self._listed -= LISTING_PERIOD - PERIOD
            return
        self._paths = dict(zip(answer.names, answer.paths))
        self.set("masks", list(answer.masks))
        self.set("styles", [{"name": name, "version": self._added.get(name, 0)} for name in self._paths])

    # --- threads ---------------------------------------------------------------------------------------------

    async def _block(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._loop.run_in_executor(self._waiting, work, *args)

    async def _encode(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._loop.run_in_executor(self.executor, work, *args)

    async def _ask(self, method: Callable[..., None], *args: Any, **options: Any) -> Any:
        """The answer of a request of `NodeClient`; raises it if it is an exception."""
        future = self._loop.create_future()

        def then(answer: Any) -> None:
            if not future.done():
                (future.set_exception if isinstance(answer, Exception) else future.set_result)(answer)

        method(*args, then, **options)
        return await future


def _answer(answer: Any) -> Answer:
    if isinstance(answer, Answer):
        return answer
    if isinstance(answer, Exception):
        return Answer(False, str(answer))
    return Answer(bool(answer.success), answer.message)


def _notice(kind: str, text: str, advice: str) -> Dict[str, str]:
    return {"kind": kind, "text": text, "advice": advice}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith((".", "!", "?")) else ".")


def _number(value: float) -> Any:
    """A number as JSON can hold it: None if it is not finite."""
    return value if math.isfinite(value) else None
