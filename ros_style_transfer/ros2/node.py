"""The node ``style_transfer``: wiring between ROS 2 and a `StreamSession`.

Data flow::

    image (`camera_stream`) --callback--> +---------------+ --> ~/image (`camera_stream`)
    style topic ------------------------> | StreamSession | --> ~/status, /diagnostics
    ~/set_style, parameters ------------> +---------------+
    ~/render, ~/render_action --> `render_server`, in processes

Callbacks of topics only store; the session's worker owns TensorFlow.  Requests wait in their callbacks, each kind in a
callback group of its own, so that none delays a frame.  The housekeeping thread runs on wall time, whatever
``use_sim_time`` says.
"""

import logging
import os
import signal
import sys
import threading
from typing import Any, List, Optional

import rclpy
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool, Trigger

from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.srv import AddStyle, ListStyles, SetStyle

from .. import environment
from ..errors import StyleTransferError
from ..ros_common.conversions import is_empty, to_text
from ..ros_common.housekeeping import Housekeeping
from ..ros_common.params import Parameters
from ..ros_common.requests import Requests, fill_status
from ..streaming.event_log import RepeatFilter
from ..streaming.session import StreamSession, StyleTopic
from .camera_stream import CameraStream, decoder
from .diagnostics import Diagnostics
from .parameters import LiveParameters, declare
from .render_server import RenderServer
from .topics import ImageSubscription, explain_silence, resolve

NAME = "style_transfer"
STYLE_IMAGE = "style_image"  # the topic that delivers the style `topic`
LOG_PERIOD = 10.0  # seconds between equal log lines
MAX_THREADS = 32  # of callbacks; they are started when they are needed, and most wait for a render


class StyleTransferNode:
    """The node.  `setup` advertises and starts, `shutdown` ends.

    Args:
        node: created with ``automatically_declare_parameters_from_overrides``.

    Attributes:
        fatal_error: why the node cannot go on and should end, or "".

    Raises:
        OptionError: a parameter is wrong.
    """

    def __init__(self, node: Node) -> None:
        self.fatal_error = ""
        self._node = node
        self._status: Optional[Publisher] = None
        self._filter = RepeatFilter()
        p = declare(node)
        logger = _logger(node)
        transport = p.image_transport
        self._session = StreamSession(
            p.session_options(),
            StyleTopic(resolve(node, STYLE_IMAGE, transport), lambda: explain_silence(node, STYLE_IMAGE, transport)),
            self._on_change,
            self._on_fatal,
            logger,
        )
        self._cameras = [CameraStream(name, node, p, self._session) for name in p.cameras or ("",)]
        self._requests = Requests(self._session, p, decoder(p), logger.warning)
        self._renders = RenderServer(node, p, self._session, self._cameras[0].topic, logger)
        self._parameters = LiveParameters(node, self._requests.fields, self._requests.change_fields)
        self._diagnostics = Diagnostics(node, self._session, self._cameras, p.expected_rate)
        self._housekeeping = Housekeeping(
            self._session,
            self._cameras,
            _StyleTopic(node, p, self._session),
            p.always_subscribe,
            (self._session.check_streams, self._publish_status, self._diagnostics.publish),
            self._report,
        )

    def setup(self) -> None:
        """Advertise everything and start working; the model loads in the background."""
        for camera in self._cameras:
            camera.advertise(self._housekeeping.wake)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._status = self._node.create_publisher(StyleStatus, "~/status", latched)
        self._publish_status()
        group = MutuallyExclusiveCallbackGroup()
        for name, kind in (
            ("set_style", SetStyle),
            ("list_styles", ListStyles),
            ("add_style", AddStyle),
            ("pause", SetBool),
            ("save", Trigger),
        ):
            self._node.create_service(kind, "~/" + name, getattr(self._requests, name), callback_group=group)
        self._renders.setup()
        self._parameters.setup()
        self._session.start()
        self._housekeeping.start()

    def shutdown(self) -> None:
        """Stop all threads and renders; returns when they have ended.  May be called repeatedly, and at any time."""
        self._parameters.shutdown()
        self._renders.shutdown()
        self._session.shutdown()
        self._housekeeping.stop()

    def _on_change(self) -> None:
        """The session has changed; called from any of its threads."""
        self._housekeeping.wake()  # topics may be wanted now, or no longer
        self._publish_status()
        self._parameters.tell()

    def _on_fatal(self, message: str) -> None:
        self.fatal_error = message

    def _publish_status(self) -> None:
        if self._status is None:
            return
        message = StyleStatus()
        try:
            fill_status(message, self._session)
            message.header.stamp = self._node.get_clock().now().to_msg()
            self._status.publish(message)
        except Exception as error:  # a status that cannot be sent must stop nothing
            if self._node.context.ok():
                self._report("the status cannot be published: %r" % error)

    def _report(self, message: str) -> None:
        if self._filter.is_due("node", message, LOG_PERIOD):
            self._node.get_logger().error(message)


class _StyleTopic:
    """The subscription to the pictures that are the style `topic`."""

    def __init__(self, node: Node, parameters: Parameters, session: StreamSession) -> None:
        self._session = session
        self._decode = decoder(parameters)
        self._images = ImageSubscription(
            node, STYLE_IMAGE, parameters.image_transport, self._on_image, MutuallyExclusiveCallbackGroup()
        )
        self._is_open = False

    def subscribe(self) -> None:
        self._is_open = True
        self._images.open()

    def unsubscribe(self) -> None:
        if self._is_open:
            self._is_open = False
            self._images.close()
            self._session.offer_style_image(None)

    def _on_image(self, message: Any) -> None:
        if not is_empty(message):
            self._session.offer_style_image(lambda: self._decode(message))


class _RosHandler(logging.Handler):
    """Passes records to the node's logger, which wants a line of code for each severity."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self._logger = node.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno >= logging.CRITICAL:
            self._logger.fatal(text)
        elif record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._logger.info(text)
        else:
            self._logger.debug(text)


def _logger(node: Node) -> logging.Logger:
    """A logger whose records the node logs."""
    logger = logging.getLogger(__name__)
    logger.propagate = False
    logger.setLevel(logging.DEBUG)  # the node's level decides
    logger.handlers = [_RosHandler(node)]
    return logger


def _spin(executor: MultiThreadedExecutor, node: Node) -> None:
    """Execute callbacks until the context is shut down; one that fails costs only itself."""
    while node.context.ok():
        try:
            executor.spin()
        except ExternalShutdownException:
            return
        except Exception as error:
            if node.context.ok():
                node.get_logger().error("a callback failed: %r" % error)


def main(arguments: Optional[List[str]] = None) -> None:
    """Run the node until shutdown; a wrong parameter ends it with one log line and code 1."""
    environment.use_one_heap()
    environment.leave_out_keras()
    environment.return_large_buffers()
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rclpy raises several kinds for --ros-args that it cannot parse
        print("%s: wrong --ros-args: %s" % (NAME, " ".join(str(error).split())), file=sys.stderr)
        raise SystemExit(1) from None
    node = Node(NAME, automatically_declare_parameters_from_overrides=True)
    try:
        ours = StyleTransferNode(node)
    except StyleTransferError as error:
        node.get_logger().fatal("%s; the node has ended, correct this and start it again" % to_text(str(error)))
        rclpy.shutdown()
        raise SystemExit(1) from None
    executor = MultiThreadedExecutor(MAX_THREADS)
    executor.add_node(node)
    ours.setup()
    spinning = threading.Thread(target=_spin, args=(executor, node), name="executor", daemon=True)
    spinning.start()
    while not ending.wait(0.1) and node.context.ok() and not ours.fatal_error:
        pass
    ours.shutdown()
    rclpy.try_shutdown()
    spinning.join(1.0)
    # The worker may be importing TensorFlow, which nothing interrupts and Python would wait for.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(1 if ours.fatal_error else 0)
