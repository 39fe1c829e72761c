"""The node ``style_transfer``: wiring between ROS 1 and a `StreamSession`.

Data flow::

    image (`camera_stream`) --callback--> +---------------+ --> ~image (`camera_stream`)
    style topic ------------------------> | StreamSession | --> ~status, /diagnostics
    ~set_style, dynamic_reconfigure ----> +---------------+
    ~render, ~render_action --> `render_server`, in processes

Callbacks only store; the session's worker owns TensorFlow.  The housekeeping thread subscribes, publishes the status
and runs on wall time, whatever ``/use_sim_time`` says.
"""

import logging
import os
import signal
import sys
import threading
import time
from typing import Any, Callable, Optional

import rospy
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, SetBoolResponse, Trigger, TriggerResponse

from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.srv import (
    AddStyle,
    AddStyleResponse,
    ListStyles,
    ListStylesResponse,
    SetStyle,
    SetStyleResponse,
)

from .. import environment
from ..errors import StyleTransferError
from ..ros_common import params
from ..ros_common.housekeeping import Housekeeping
from ..ros_common.requests import Requests, fill_status
from ..streaming.session import StreamSession, StyleTopic
from . import conversions
from .camera_stream import CameraStream, explain_silence, resolve, subscribe
from .connections import accept_in_threads
from .conversions import to_text
from .diagnostics import Diagnostics
from .master_watch import watch_master
from .reconfigure import Reconfigure
from .render_server import RenderServer

EXIT_TIMEOUT = 5.0  # seconds that an orderly end may take
STYLE_IMAGE = "style_image"  # the topic that delivers the style `topic`


class StyleTransferNode:
    """The node.  The constructor touches no middleware; `setup` connects, `shutdown` ends.

    Args:
        parameters: `params.Parameters`.

    Attributes:
        fatal_error: why the node cannot go on and should end, or "".
    """

    def __init__(self, parameters: params.Parameters) -> None:
        self.fatal_error = ""
        self._stop = threading.Event()
        self._status: Optional[rospy.Publisher] = None
        p, transport = parameters, parameters.image_transport
        self._session = StreamSession(
            p.session_options(),
            StyleTopic(resolve(STYLE_IMAGE, transport), lambda: explain_silence(STYLE_IMAGE, transport)),
            self._on_change,
            self._on_fatal,
            logging.getLogger("rosout"),
        )
        self._cameras = [CameraStream(name, p, self._session) for name in p.cameras or ("",)]
        self._requests = Requests(self._session, p, conversions.decoder(p), rospy.logwarn)
        self._renders = RenderServer(p, self._session, self._cameras[0].topic)
        self._reconfigure = Reconfigure(
            self._requests.fields, self._requests.change_fields, self._requests.lasting_fields
        )
        self._diagnostics = Diagnostics(self._session, self._cameras, p.expected_rate)
        self._housekeeping = Housekeeping(
            self._session,
            self._cameras,
            _StyleTopic(self._session, p),
            p.always_subscribe,
            (self._session.check_streams, self._publish_status, self._diagnostics.publish),
            lambda message: rospy.logerr_throttle_identical(10, message),
        )

    def setup(self, is_ending: Callable[[], bool] = lambda: False) -> None:
        """Advertise everything and start working; the model loads in the background.

        Args:
            is_ending: whether the rest of the set-up can be skipped.
        """
        self._given = rospy.get_param("~", {})
        listener = _PeerListener(self._housekeeping.wake)
        for camera in self._cameras:
            camera.advertise(listener)
        self._status = rospy.Publisher("~status", StyleStatus, queue_size=1, latch=True)
        self._publish_status()
        accept_in_threads()
        self._diagnostics.setup()
        for name, kind, response in (
            ("set_style", SetStyle, SetStyleResponse),
            ("list_styles", ListStyles, ListStylesResponse),
            ("add_style", AddStyle, AddStyleResponse),
            ("pause", SetBool, SetBoolResponse),
            ("save", Trigger, TriggerResponse),
        ):
            answer = getattr(self._requests, name)
            rospy.Service(
                "~" + name, kind, lambda request, answer=answer, response=response: answer(request, response())
            )
        for setup in (self._renders.setup, self._reconfigure.setup):
            if is_ending():
                return
            setup()
        if is_ending():
            return
        self._session.start()
        watch_master(self._stop, lambda: {**self._given, **self._requests.fields(), **self._requests.lasting_fields()})
        self._housekeeping.start()

    def shutdown(self) -> None:
        """Stop all threads and renders; returns when they have ended.  May be called repeatedly, and at any time."""
        self._stop.set()
        self._reconfigure.shutdown()
        self._renders.shutdown()
        self._session.shutdown()
        self._housekeeping.stop()

    # --- the session --------------------------------------------------------------------------------

    def _on_change(self) -> None:
        """The session has changed; called from any of its threads."""
        self._housekeeping.wake()  # topics may be wanted now, or no longer
        self._publish_status()
        if self._status is not None:
            self._reconfigure.notify()

    def _on_fatal(self, message: str) -> None:
        self.fatal_error = message

    def _publish_status(self) -> None:
        if self._status is None:
            return
        message = StyleStatus()
        try:
            fill_status(message, self._session)
            message.header.stamp = rospy.get_rostime()
            self._status.publish(message)
        except rospy.ROSException:
            pass  # shutting down
        except Exception as error:  # a status that cannot be sent must stop nothing
            rospy.logerr_throttle_identical(10, "the status cannot be published: %r" % error)


class _StyleTopic:
    """The subscription to the pictures that are the style `topic`."""

    def __init__(self, session: StreamSession, parameters: params.Parameters) -> None:
        self._session = session
        self._transport = parameters.image_transport
        self._decode = conversions.decoder(parameters)
        self._subscriber: Optional[rospy.Subscriber] = None

    def subscribe(self) -> None:
        if self._subscriber is None:
            self._subscriber = subscribe(STYLE_IMAGE, self._on_image, self._transport)

    def unsubscribe(self) -> None:
        if self._subscriber is not None:
            self._subscriber.unregister()
            self._subscriber = None
            self._session.offer_style_image(None)

    def _on_image(self, message: Image) -> None:
        if not conversions.is_empty(message):
            self._session.offer_style_image(lambda: self._decode(message))


class _PeerListener(rospy.SubscribeListener):
    """Calls ``wake`` when a subscriber comes or goes.  rospy calls this from connection threads, even from inside
    ``publish()``, so nothing is decided here."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def peer_subscribe(self, topic_name: str, topic_publish: Any, peer_publish: Any) -> None:
        self._wake()

    def peer_unsubscribe(self, topic_name: str, num_peers: int) -> None:
        self._wake()


def _exit_after(ending: threading.Event) -> None:
    """End the process soon after ``ending`` is set: a master that hangs would block the orderly end for ever."""
    ending.wait()
    time.sleep(EXIT_TIMEOUT)
    os._exit(1)


def main() -> None:
    """Run the node until shutdown; a wrong parameter ends it with one log line and code 1."""
    environment.use_one_heap()
    environment.leave_out_keras()
    environment.return_large_buffers()
    environment.hide_notes()
    rospy.init_node("style_transfer", disable_signals=True)
    # rospy's own handler calls the master from wherever the signal arrives, and would wait for a lock forever if
    # that is inside another call.
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    threading.Thread(target=_exit_after, args=(ending,), name="exit", daemon=True).start()
    try:
        node = StyleTransferNode(params.read(rospy.get_param, rospy.logwarn))
    except StyleTransferError as error:
        rospy.logfatal("style_transfer: %s; the node has ended, correct this and start it again", to_text(str(error)))
        raise SystemExit(1) from None
    rospy.on_shutdown(node.shutdown)
    node.setup(ending.is_set)
    while not ending.wait(0.1) and not rospy.is_shutdown() and not node.fatal_error:
        pass
    ending.set()
    node.shutdown()  # before the master is asked, which may not answer
    rospy.signal_shutdown(node.fatal_error or "a signal arrived")
    # The worker may be importing TensorFlow, which nothing interrupts and Python would wait for.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(1 if node.fatal_error else 0)
