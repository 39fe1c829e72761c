"""The server of the page: files of the package, pictures, uploads, and a WebSocket for each viewer.

Every request passes `Access`.  No part of a request becomes a path: files are served from memory, and styles are
looked up by name in the node's own list.
"""

import asyncio
import json
import os
import struct
from typing import Any, Dict, List, Mapping, Optional

import rospy
from tornado import httpserver, netutil, web, websocket

from ...errors import ImageError, OptionError, StyleTransferError
from . import requests
from .access import HEADERS, Access
from .frames import CAMERA, PAINTED, Frame
from .pace import Pace, rung_for
from .panel import Answer, WebPanel
from .requests import MAX_MESSAGE, MAX_UPLOAD, View
from .state import Viewer
from .table import describe_controls, describe_models

STATIC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "static")
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PICTURE_TYPES = {"jpg": "image/jpeg", "png": "image/png"}
MAX_VIEWERS = 32
MAX_UPLOADS = 2  # at the same time
MAX_REQUESTS = 8  # of one viewer that are not answered yet
HEADER_TIMEOUT, BODY_TIMEOUT = 10, 60  # seconds for the whole header, and body, of a request
CHUNK, CHUNK_TIMEOUT = 2**18, 20.0  # bytes of a file that a slow reader gets at once, and seconds to take them
PING, PING_TIMEOUT = 5, 15  # seconds, of WebSockets
CONFIRM_TIMEOUT = 10.0  # seconds in which a viewer must confirm a frame


class _Checked(web.RequestHandler):
    """A handler whose requests pass `Access`.  The application's settings hold `access`, `panel` and `files`."""

    is_page = False

    def set_default_headers(self) -> None:
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    def prepare(self) -> None:
        cookie = self.get_cookie(self.cookie_name(), "") or ""
        refusal = self.settings["access"].refusal(self.request.headers, cookie, self.is_page)
        if refusal:
            self.refuse(403, refusal)

    def cookie_name(self) -> str:
        """The name of the token's cookie: cookies do not tell ports apart, but names do."""
        return "style_transfer_%s" % (self.request.host.rpartition(":")[2] if ":" in self.request.host else "80")

    def refuse(self, code: int, reason: str) -> None:
        """End the request with a line of text."""
        self.set_status(code)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(reason + "\n")

    def write_error(self, status_code: int, **_: Any) -> None:
        self.refuse(status_code, self._reason)

    async def send_file(self, data: bytes, kind: str) -> None:
        """Answer with ``data`` of the media type ``kind``; a reader that stops reading is cut off."""
        self.set_header("Content-Type", kind)
        self.set_header("Content-Length", str(len(data)))
        for start in range(0, len(data), CHUNK):
            self.write(data[start : start + CHUNK])
            try:
                await asyncio.wait_for(asyncio.ensure_future(_flushed(self)), CHUNK_TIMEOUT)
            except asyncio.TimeoutError:
                self.request.connection.stream.close()
                return
        self.finish()

    @property
    def panel(self) -> WebPanel:
        return self.settings["panel"]


async def _flushed(handler: web.RequestHandler) -> None:
    await handler.flush()


class _Page(_Checked):
    """The page.  With the token in its address it sets the cookie, and leads to the address without it."""

    is_page = True

    def prepare(self) -> None:
        access, token = self.settings["access"], self.get_query_argument("token", "")
        if access.token and token and access.matches(token):
            self.set_cookie(self.cookie_name(), token, httponly=True, samesite="Lax")
            self.redirect("/")
            return
        super().prepare()

    def get(self) -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(self.settings["files"]["index.html"])


class _File(_Checked):
    """A file of the folder ``static``, from memory."""

    def get(self, name: str) -> None:
        if name not in self.settings["files"]:
            self.refuse(404, "There is no such file.")
            return
        self.set_header("Content-Type", TYPES[os.path.splitext(name)[1]] + "; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.finish(self.settings["files"][name])


class _Thumbnail(_Checked):
    """A style's thumbnail."""

    async def get(self, name: str) -> None:
        try:
            data = await self.panel.styles.thumbnail(name)
        except ImageError as error:
            self.refuse(404, str(error))
            return
        self.set_header("Cache-Control", "private, max-age=3600")
        await self.send_file(data, PICTURE_TYPES["jpg"])


class _Rendered(_Checked):
    """The newest picture of a render."""

    async def get(self, name: str, ending: str) -> None:
        try:
            data = await self.panel.renders.file(name, ending)
        except ImageError as error:
            self.refuse(404, str(error))
            return
        await self.send_file(data, PICTURE_TYPES[ending])


class _Pair(_Checked):
    """The newest frame and its stylized version at full size, as `pack` joins them."""

    async def get(self) -> None:
        camera = self.get_query_argument("camera", "")
        frame = self.panel.feed(camera).newest if camera in self.panel.state["cameras"] else None
        if frame is None:
            self.refuse(404, "No frame has arrived yet.")
            return
        try:
            pictures = {kind: await frame.png(kind) for kind in frame.messages}
        except ImageError as error:
            self.refuse(500, str(error))
            return
        await self.send_file(pack({"time": frame.time}, pictures), "application/octet-stream")


@web.stream_request_body
class _Upload(_Checked):
    """A picture that becomes a style."""

    _uploads = 0
    _counted = False

    def prepare(self) -> None:
        super().prepare()
        if self._finished:
            return
        if _Upload._uploads >= MAX_UPLOADS:
            self.refuse(503, "Other pictures are being added; try again in a moment.")
            return
        _Upload._uploads += 1
        self._counted = True
        self._body = bytearray()
        self.request.connection.set_max_body_size(MAX_UPLOAD)

    def data_received(self, chunk: bytes) -> None:
        if self._counted:
            self._body += chunk

    async def post(self) -> None:
        name, use = self.get_query_argument("name", ""), self.get_query_argument("use", "") == "1"
        answer = await self.panel.add_style(name[:200] or "picture", bytes(self._body), use)
        self.set_status(200 if answer.success else 422)
        self.finish(answer._asdict())

    def on_finish(self) -> None:
        self._release()

    def on_connection_close(self) -> None:
        self._release()

    def _release(self) -> None:
        if self._counted:
            _Upload._uploads -= 1
            self._counted = False


class _Live(_Checked, websocket.WebSocketHandler, Viewer):
    """A viewer: gets the state and the newest frames, sends requests and confirms frames."""

    def initialize(self) -> None:
        self.view = View()
        self._pace = Pace()
        self._confirmed = asyncio.Event()
        self._last = 0  # number of the newest frame that was sent
        self._sender: Optional[asyncio.Task[None]] = None
        self._requests = 0

    def prepare(self) -> None:
        super().prepare()
        if not self._finished and len(self.panel.state.viewers) >= MAX_VIEWERS:
            self.refuse(503, "%d browsers show the page already; close one of them." % MAX_VIEWERS)

    def check_origin(self, origin: str) -> bool:
        return True  # `Access` has checked it

    def open(self, *_: Any) -> None:
        self.set_nodelay(True)
        self.panel.state.viewers.add(self)
        self.tell({"table": describe_controls(), "models": describe_models()})
        self.tell(self.panel.state.sections)
        self.panel.views_changed()

    def on_close(self) -> None:
        self.panel.state.viewers.discard(self)
        self._stop()
        self.panel.views_changed()

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send changed sections of the state."""
        try:
            self.write_message(json.dumps(message))
        except websocket.WebSocketClosedError:
            pass

    async def on_message(self, text: Any) -> None:
        try:
            message = requests.parse(text)
        except OptionError as error:
            self.close(1008, str(error)[:100])
            return
        if message["do"] == "confirm":
            self._pace.confirmed(message.get("number") if isinstance(message.get("number"), int) else -1)
            self._confirmed.set()
        elif message["do"] == "view":
            self._look(message)
        else:
            await self._request(message)

    def _look(self, message: Dict[str, Any]) -> None:
        try:
            view = requests.parse_view(message, self.panel.state["cameras"])
        except OptionError as error:
            self._answer(message, Answer(False, str(error)))
            return
        if view.camera != self.view.camera:
            self._last = 0
        self.view = view
        self._pace.top = rung_for(view.side)
        self._stop()
        if view.visible:
            self._sender = asyncio.ensure_future(self._send_frames())
        self.panel.views_changed()

    async def _request(self, message: Dict[str, Any]) -> None:
        if self._requests >= MAX_REQUESTS:
            self._answer(message, Answer(False, "Too many requests are waiting."))
            return
        self._requests += 1
        # Not awaited: tornado reads no further message, such as a confirmation, before this method returns.
        asyncio.ensure_future(self._finish_request(message))

    async def _finish_request(self, message: Dict[str, Any]) -> None:
        answer = await self.panel.request(message)
        self._requests -= 1
        self._answer(message, answer)

    def _answer(self, message: Mapping[str, Any], answer: Answer) -> None:
        self.tell({"answer": {"id": message.get("id"), **answer._asdict()}})

    # --- frames -----------------------------------------------------------------------------------

    def _stop(self) -> None:
        if self._sender is not None:
            self._sender.cancel()

    async def _send_frames(self) -> None:
        """Send the newest frame, whenever the viewer has confirmed an earlier one."""
        feed = self.panel.feed(self.view.camera)
        kinds = (CAMERA, PAINTED) if self.view.both else (PAINTED,)
        while True:
            while not self._pace.is_open:
                self._confirmed.clear()
                try:
                    await asyncio.wait_for(self._confirmed.wait(), CONFIRM_TIMEOUT)
                except asyncio.TimeoutError:
                    self.close(1008, "frames are not confirmed")
                    return
            frame = await feed.newer_than(self._last)
            self._last = frame.number
            try:
                await self._send(frame, kinds)
            except websocket.WebSocketClosedError:
                return
            except StyleTransferError as error:  # a frame that cannot be read; the next one may be fine
                rospy.logwarn_throttle(10, "web_panel: %s" % error)

    async def _send(self, frame: Frame, kinds: Any) -> None:
        rung = self._pace.rung
        kinds = [kind for kind in kinds if kind in frame.messages]
        if not kinds:
            return
        # Both at the same time, in two threads.
        pictures = dict(zip(kinds, await asyncio.gather(*(frame.jpeg(kind, rung) for kind in kinds))))
        self._pace.sent(frame.number)
        facts = {"number": frame.number, "camera": self.view.camera, "stamp": frame.stamp}
        self.write_message(pack(facts, pictures), binary=True)


def pack(facts: Mapping[str, Any], pictures: Mapping[str, bytes]) -> bytes:
    """Pictures as one binary message: the header's length in 4 bytes (big-endian), the header, the pictures' files.

    The header is JSON: ``facts``, and ``pictures``, a list of [kind, bytes].
    """
    header = json.dumps(dict(facts, pictures=[[kind, len(data)] for kind, data in pictures.items()])).encode()
    return b"".join([struct.pack(">I", len(header)), header, *pictures.values()])


def read_files() -> Dict[str, bytes]:
    """The files of the folder ``static`` by name."""
    files = {}
    for name in os.listdir(STATIC):
        if os.path.splitext(name)[1] in TYPES:
            with open(os.path.join(STATIC, name), "rb") as file:
                files[name] = file.read()
    return files


def serve(panel: WebPanel, access: Access, host: str, port: int) -> int:
    """Serve the page from now on; returns the port, which is any free one if ``port`` is 0.

    Raises:
        OSError: the address or the port cannot be used.
    """
    application = web.Application(
        [
            ("/", _Page),
            ("/live", _Live),
            ("/pair", _Pair),
            ("/styles", _Upload),
            (r"/styles/([^/]+)\.jpg", _Thumbnail),
            (r"/(render|preview)\.(jpg|png)", _Rendered),
            (r"/([^/]+)", _File),
        ],
        default_handler_class=_Missing,
        access=access,
        panel=panel,
        files=read_files(),
        compress_response=False,
        log_function=lambda handler: None,  # addresses may hold the token
        websocket_ping_interval=PING,
        websocket_ping_timeout=PING_TIMEOUT,
        websocket_max_message_size=MAX_MESSAGE,
    )
    server = httpserver.HTTPServer(
        application,
        idle_connection_timeout=HEADER_TIMEOUT,
        body_timeout=BODY_TIMEOUT,
        max_header_size=2**14,
        max_body_size=MAX_MESSAGE,
        max_buffer_size=MAX_UPLOAD,
    )
    sockets: List[Any] = netutil.bind_sockets(port, host)
    server.add_sockets(sockets)
    return sockets[0].getsockname()[1]


class _Missing(_Checked):
    def get(self) -> None:
        self.refuse(404, "There is no such page.")

    post = put = delete = patch = head = options = get
