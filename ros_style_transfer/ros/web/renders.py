"""Renders for the page: start, progress, the curve of the loss, preview, cancel, result."""

import asyncio
import math
import time
from typing import Any, Dict, List, Mapping, Tuple

import rospy

from ...errors import ImageError, OptionError
from .. import conversions
from ..node_client import NodeClient, RenderCancelled
from . import requests
from .background import Background
from .frames import encode_jpeg, encode_png
from .notices import sentence
from .state import State, finite

SILENCE = 5.0  # seconds without progress after which another interface's render counts as ended
PROGRESS_PERIOD = 0.1  # seconds between two progresses for the viewers
MAX_LOSSES = 1000  # points of the curve
SIDE, QUALITY = 1600, 90  # of a render as JPEG; PNG keeps its size
PROGRESS = ("waiting", "scale", "scales", "width", "height", "iteration", "iterations", "loss", "seconds", "remaining")


class Renders:
    """The node's renders, one of which may be ours.

    Args:
        state: where the sections ``render`` and ``losses`` are kept.
    """

    def __init__(self, client: NodeClient, background: Background, state: State) -> None:
        self._client, self._background, self._state = client, background, state
        self._own: Any = None  # identifies our render while it runs
        self._progress_time = -math.inf
        self._losses: List[List[Any]] = []  # [seconds, loss, scale]
        self._messages: Dict[str, Any] = {}  # newest pictures: "preview", "render"
        self._files: Dict[Tuple[str, str], Tuple[Any, asyncio.Future[bytes]]] = {}  # encoded pictures
        self._section = dict(own=False, others=False, progress=None, message="", preview=0, picture=None)
        state.set("render", self._section)

    def on_progress(self, message: Any) -> None:
        """A `RenderProgress` has come."""
        progress = {name: finite(getattr(message, name)) for name in PROGRESS}
        if self._losses and (progress["seconds"] or 0) < self._losses[-1][0]:  # another render
            self._losses = []
        self._losses.append([progress["seconds"] or 0, progress["loss"], progress["scale"]])
        if len(self._losses) > MAX_LOSSES:
            self._losses = self._losses[::2]
        self._state.sections["losses"] = self._losses
        if time.monotonic() - self._progress_time > PROGRESS_PERIOD:
            self._progress_time = time.monotonic()
            self._set(progress=dict(progress, note=message.note), others=self._own is None)
            self._state.tell({"losses": self._losses})

    def on_picture(self, name: str, message: Any) -> None:
        """A picture has come: a "preview", or the finished "render"."""
        self._messages[name] = message
        if name == "preview":
            self._set(preview=self._section["preview"] + 1)
        else:
            number = 1 + (self._section["picture"] or {"number": 0})["number"]
            self._set(picture=dict(number=number, width=message.width, height=message.height))

    def follow(self, connected: bool) -> None:
        """Look at the time, and at whether the node is there; to be called each second."""
        if self._own is not None and not connected:
            self._end(rospy.ROSException("the render ended because the node ended"))
        self._set(others=self._own is None and time.monotonic() - self._progress_time < SILENCE)

    def begin(self, message: Mapping[str, Any]) -> str:
        """Send the render that a viewer asks for to the node; returns what was done.

        Raises:
            OptionError: a value is wrong, or a render of ours is running.
        """
        if self._own is not None:
            raise OptionError("a render is running already; wait for it, or cancel it")
        if self._state["status"] is None:
            raise OptionError("the node is not running")
        goal, mark = requests.parse_goal(message), object()
        self._own = mark
        self._set(own=True, others=False, progress=None, message="Waiting for its turn.")
        self._client.render(goal, lambda result: self._end(result) if self._own is mark else None)
        return "The render has been sent to the node."

    async def cancel(self) -> Any:
        """Cancel our render, or whichever the node is working on; returns what was done, or the node's response."""
        if self._own is None:
            return await self._background.ask(self._client.cancel, False)
        self._client.cancel(True, lambda answer: None)
        return "The render is being cancelled."

    async def file(self, name: str, extension: str) -> bytes:
        """The newest picture of this name as a file: "jpg", of a size for the page, or "png", in full.

        Raises:
            ImageError: there is none yet.
        """
        message = self._messages.get(name)
        if message is None:
            raise ImageError("nothing has been rendered yet")
        encoded, file = self._files.get((name, extension), (None, None))
        if file is None or encoded is not message:
            file = asyncio.ensure_future(self._background.encode(_encode, message, extension))
            self._files[name, extension] = (message, file)
        return await asyncio.shield(file)

    def _end(self, result: Any) -> None:
        self._own, self._progress_time = None, -math.inf
        cancelled = isinstance(result, RenderCancelled)
        text = str(result) if isinstance(result, Exception) else result.message
        failed = not cancelled and (isinstance(result, Exception) or not result.success)
        self._set(own=False, others=False, progress=None, message=("Failed: " if failed else "") + sentence(text))

    def _set(self, **changes: Any) -> None:
        self._section = dict(self._section, **changes)
        self._state.set("render", self._section)


def _encode(message: Any, extension: str) -> bytes:
    rgb = conversions.to_rgb(message)
    return encode_png(rgb) if extension == "png" else encode_jpeg(rgb, SIDE, QUALITY)
