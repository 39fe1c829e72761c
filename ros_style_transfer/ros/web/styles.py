"""The node's styles for the page: their names, thumbnails, and new ones."""

import asyncio
import math
import tempfile
import time
from typing import Any, Dict, Optional, Tuple

from ...errors import ImageError, StyleTransferError
from ..node_client import NodeClient
from . import requests
from .background import Background
from .frames import encode_jpeg
from .state import State

THUMBNAIL = 224  # pixels; a telephone shows a third of that
THUMBNAIL_QUALITY = 85  # of the JPEG file
LISTING_PERIOD = 10.0  # seconds between two requests for the list,
RETRY_PERIOD = 1.0  # and after one that has failed


class Styles:
    """The node's styles.

    Args:
        client: whose thumbnails have `THUMBNAIL` pixels a side.
        state: where the sections ``styles`` and ``masks`` are kept.

    Attributes:
        paths: of the styles by name, on the node's computer.
    """

    def __init__(self, client: NodeClient, background: Background, state: State) -> None:
        self._client, self._background, self._state = client, background, state
        self.paths: Dict[str, str] = {}
        self._due = -math.inf  # when the list is to be asked for
        self._listing = False
        self._thumbnails: Dict[Tuple[str, Optional[str]], asyncio.Future[bytes]] = {}
        self._added: Dict[str, int] = {}  # how often a style was added here
        state.set("styles", [])
        state.set("masks", [])

    def expire(self) -> None:
        """Request the list again at the next `refresh`."""
        self._due = -math.inf

    def refresh(self) -> None:
        """Ask for the list if it is old."""
        if not self._listing and time.monotonic() > self._due:
            self._listing = True
            self._client.list_styles(self._show)

    async def thumbnail(self, name: str) -> bytes:
        """The JPEG file of a style's thumbnail.

        Raises:
            ImageError: the node has no such style, or its picture is on another computer.
        """
        if name not in self.paths:
            raise ImageError("there is no style of this name")
        key = (name, None) if (name, None) in self._thumbnails else (name, self.paths[name])
        if key not in self._thumbnails:
            self._thumbnails[key] = asyncio.ensure_future(self._read_thumbnail(self.paths[name]))
        try:
            return await asyncio.shield(self._thumbnails[key])
        except (OSError, StyleTransferError):
            self._thumbnails.pop(key, None)
            raise ImageError("the style's picture cannot be read here") from None

    async def add(self, name: str, data: bytes, use: bool) -> Any:
        """Send the picture file ``data`` to the node as the style ``name``; returns the response of `AddStyle`.

        Raises:
            ImageError: it is no picture, or too large.
            rospy.ServiceException: the node does not answer.
        """
        await self._background.encode(requests.check_upload, data, name)
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            try:
                answer = await self._background.ask(self._client.add_style, file.name, use, name=name)
            except ImageError as error:
                raise ImageError(str(error).replace(file.name, name)) from None
        response, style, rgb = answer
        if response.success:
            self._thumbnails[style, None] = asyncio.ensure_future(self._encode(rgb))
            self._added[style] = self._added.get(style, 0) + 1
            self._show(await self._background.ask(self._client.list_styles))
        return response

    async def _read_thumbnail(self, path: str) -> bytes:
        return await self._encode(await self._background.ask(self._client.thumbnail, path))

    async def _encode(self, rgb: Any) -> bytes:
        return await self._background.encode(encode_jpeg, rgb, THUMBNAIL, THUMBNAIL_QUALITY)

    def _show(self, answer: Any) -> None:
        """Show the answer of `NodeClient.list_styles`."""
        self._listing = False
        if isinstance(answer, Exception):  # the node is just starting or ending
            self._due = time.monotonic() + RETRY_PERIOD
            return
        self._due = time.monotonic() + LISTING_PERIOD
        self.paths = dict(zip(answer.names, answer.paths))
        self._state.set("masks", list(answer.masks))
        self._state.set("styles", [{"name": name, "version": self._added.get(name, 0)} for name in self.paths])
