"""The program ``web_panel``: parameters, the link for the terminal, start and end."""

import asyncio
import os
import signal
import sys
import threading
from typing import List, NamedTuple

import cv2
import numpy as np
import rosgraph
import rospy

from ...controls import check_integer
from ...errors import OptionError
from .access import MIN_TOKEN, Access, is_loopback, new_token
from .panel import WebPanel
from .server import serve

HOST, PORT = "127.0.0.1", 8090
QUIET = 2  # modules around a QR code, besides the two that OpenCV draws


class Options(NamedTuple):
    """The program's parameters.

    Attributes:
        host: the address that it listens on.
        port: 0: any free one.
        token: that every request must show; empty: none is needed.
    """

    host: str
    port: int
    token: str


def read_options() -> Options:
    """The private parameters of this ROS node.

    Raises:
        OptionError: a value is wrong.
    """
    host, port = rospy.get_param("~host", HOST), rospy.get_param("~port", PORT)
    token = str(rospy.get_param("~token", ""))
    if not isinstance(host, str) or not host:
        raise OptionError("~host must be a name or an address, such as 0.0.0.0 for all, not %r" % (host,))
    check_integer("~port", port, 0, 65535)
    if token and len(token) < MIN_TOKEN:
        raise OptionError("~token must have at least %d characters, not %d" % (MIN_TOKEN, len(token)))
    if not token and not is_loopback(host):
        token = new_token()
    return Options(host, port, token)


def link(options: Options, port: int) -> str:
    """The address of the page for people, with the token."""
    host = options.host
    if host in ("0.0.0.0", "::"):  # all addresses: ROS's own, unless others cannot reach that
        addresses = [rosgraph.network.get_local_address(), *rosgraph.network.get_local_addresses()]
        host = next((address for address in addresses if not is_loopback(address)), addresses[0])
    host = "[%s]" % host if ":" in host else host
    return "http://%s:%d/%s" % (host, port, "?token=" + options.token if options.token else "")


def draw_qr_code(text: str) -> List[str]:
    """``text`` as a QR code in lines for a terminal, two rows of modules a line; light modules are drawn."""
    light = cv2.QRCodeEncoder.create().encode(text) > 127
    light = np.pad(light, QUIET, constant_values=True)
    light = np.pad(light, ((0, len(light) % 2), (0, 0)), constant_values=True)
    blocks = {(True, True): "\u2588", (True, False): "\u2580", (False, True): "\u2584", (False, False): " "}
    return ["".join(blocks[pair] for pair in zip(*map(list, light[row : row + 2]))) for row in range(0, len(light), 2)]


def tell(options: Options, port: int) -> None:
    """Print the link; if the page can be reached from elsewhere, also as a QR code."""
    address = link(options, port)
    print("web_panel: %s" % address, flush=True)  # not to the log, which others can read
    if is_loopback(options.host):
        return
    try:
        print("\n".join(draw_qr_code(address)), flush=True)
    except (UnicodeEncodeError, AttributeError):
        pass  # a terminal without block characters, or an OpenCV without an encoder: the link is enough


async def run() -> int:
    """Serve until a signal or ROS ends the program; returns the exit code."""
    loop, ending = asyncio.get_event_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)
    panel = WebPanel()
    ended = asyncio.ensure_future(ending.wait())
    reached = asyncio.ensure_future(panel.setup())
    if not (await asyncio.wait([reached, ended], timeout=1.0))[0]:
        print("web_panel: waiting for the ROS master at %s" % rosgraph.get_master_uri(), flush=True)
    await asyncio.wait([reached, ended], return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        return 0
    await reached
    rospy.on_shutdown(lambda: loop.call_soon_threadsafe(ending.set))
    options = read_options()
    try:
        port = serve(panel, Access(options.token), options.host, options.port)
    except OSError as error:
        raise OptionError(
            "cannot listen on %s, port %d: %s; choose others with _host:= and _port:="
            % (options.host, options.port, error.strerror or error)
        ) from None
    tell(options, port)
    await ended
    panel.shutdown()
    return 0


def main() -> None:
    """Serve the page until Ctrl-C or until ROS shuts down; a wrong parameter ends it with one line and code 1."""
    try:
        code = asyncio.get_event_loop().run_until_complete(run())
    except OptionError as error:
        print("web_panel: %s" % error, file=sys.stderr, flush=True)
        code = 1
    ending = threading.Thread(target=rospy.signal_shutdown, args=("web_panel ends",), daemon=True)
    ending.start()
    ending.join(1.0)  # do not wait for a master that does not answer
    os._exit(code)  # nothing is left to clean up
