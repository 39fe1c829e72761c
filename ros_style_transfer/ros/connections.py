"""Keeps one silent peer from blocking all others.

rospy reads the header of an incoming connection in the thread that accepts connections.  A peer that connects and
sends nothing, as after a lost network, would therefore keep every new subscriber and service client waiting.
"""

import socket
import threading
from typing import Any, Callable

import rospy
from rospy.impl import tcpros_base

HEADER_TIMEOUT = 10.0  # seconds


def accept_in_threads() -> None:
    """Read each header in a thread of its own, for at most `HEADER_TIMEOUT`.  Call this after the first publisher or
    service was advertised."""
    try:
        server = tcpros_base.init_tcpros_server().tcp_ros_server
        server.inbound_handler = _in_thread(server.inbound_handler)  # rospy leaves the choice of threads to it
    except AttributeError as error:  # another version of rospy
        rospy.logwarn("silent connections may block new subscribers: %s", error)


def _in_thread(handler: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], None]:
    def handle(connection: socket.socket, address: Any) -> None:
        timer = threading.Timer(HEADER_TIMEOUT, _close, [connection])
        timer.daemon = True
        timer.start()
        try:
            handler(connection, address)
        except Exception as error:  # rospy's loop would have printed a traceback
            rospy.logwarn("a connection from %s failed: %s", address, error)
        finally:
            timer.cancel()

    def start(connection: socket.socket, address: Any) -> None:
        threading.Thread(target=handle, args=(connection, address), name="connection", daemon=True).start()

    return start


def _close(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the peer has closed it
