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
from typing import Any, Callable, Dict, Mapping, Optional

import rospy
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, SetBoolRequest, SetBoolResponse, Trigger, TriggerResponse

from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.srv import (
    AddStyle,
    AddStyleRequest,
    AddStyleResponse,
    ListStyles,
    ListStylesResponse,
    SetStyle,
    SetStyleRequest,
    SetStyleResponse,
)

from .. import environment
from ..errors import OptionError, StyleTransferError
from ..ros_common import params
from ..ros_common.fields import fields_of
from ..streaming.appearance import AppearanceChange
from ..streaming.session import Answer, SessionOptions, StreamSession, StyleTopic, check_style_name
from . import conversions
from .camera_stream import CameraStream, explain_silence, resolve, subscribe
from .conversions import to_text
from .diagnostics import Diagnostics
from .master_watch import watch_master
from .reconfigure import Reconfigure
from .render_server import RenderServer
from .session_messages import change_from_fields, change_from_service, status_message

STATUS_PERIOD = 1.0  # seconds
STYLE_IMAGE = "style_image"  # the topic that delivers the style `topic`


class StyleTransferNode:
    """The node.  The constructor touches no middleware; `setup` connects, `shutdown` ends.

    Args:
        parameters: `params.Parameters`.

    Attributes:
        fatal_error: why the node cannot go on and should end, or "".
    """

    def __init__(self, parameters: params.Parameters) -> None:
        self._parameters = parameters
        self._decode = conversions.decoder(parameters)
        self.fatal_error = ""
        self._fade = 0.0  # seconds, of changes by dynamic_reconfigure
        self._style_subscriber: Optional[rospy.Subscriber] = None
        self._housekeeper: Optional[threading.Thread] = None
        self._stop = threading.Event()
        self._wake = threading.Event()  # of the housekeeping, when subscriptions may have to change
        self._status: Optional[rospy.Publisher] = None
        p, transport = parameters, parameters.image_transport
        self._session = StreamSession(
            SessionOptions(
                p.style,
                p.style_weights,
                p.mask,
                p.max_side,
                p.controls,
                p.model,
                p.precision,
                p.weights_dir,
                p.max_memory,
                p.gpu_memory_mb,
                p.style_dirs,
            ),
            StyleTopic(resolve(STYLE_IMAGE, transport), lambda: explain_silence(STYLE_IMAGE, transport)),
            self._on_change,
            self._on_fatal,
            logging.getLogger("rosout"),
        )
        self._cameras = [CameraStream(name, p, self._session) for name in p.cameras or ("",)]
        self._renders = RenderServer(p, self._session, self._cameras[0].topic)
        self._reconfigure = Reconfigure(self._fields, self._on_reconfigure, self._lasting_fields)
        self._diagnostics = Diagnostics(self._session, self._cameras, p.expected_rate)

    def setup(self, is_ending: Callable[[], bool] = lambda: False) -> None:
        """Advertise everything and start working; the model loads in the background.

        Args:
            is_ending: whether the rest of the set-up can be skipped.
        """
        self._given = rospy.get_param("~", {})
        listener = _PeerListener(self._wake)
        for camera in self._cameras:
            camera.advertise(listener)
        self._status = rospy.Publisher("~status", StyleStatus, queue_size=1, latch=True)
        self._publish_status()
        self._diagnostics.setup()
        for name, kind, answer in (
            ("set_style", SetStyle, self._on_set_style),
            ("list_styles", ListStyles, self._on_list_styles),
            ("add_style", AddStyle, self._on_add_style),
            ("pause", SetBool, self._on_pause),
            ("save", Trigger, self._on_save),
        ):
            rospy.Service("~" + name, kind, answer)
        for setup in (self._renders.setup, self._reconfigure.setup):
            if is_ending():
                return
            setup()
        if is_ending():
            return
        self._session.start()
        watch_master(self._stop, lambda: {**self._given, **self._fields(), **self._lasting_fields()})
        housekeeper = threading.Thread(target=self._housekeeping, name="housekeeping", daemon=True)
        housekeeper.start()
        self._housekeeper = housekeeper  # once it may be joined

    def shutdown(self) -> None:
        """Stop all threads and renders; returns when they have ended.  May be called repeatedly, and at any time."""
        self._stop.set()
        self._wake.set()
        self._reconfigure.shutdown()
        self._renders.shutdown()
        self._session.shutdown()
        if self._housekeeper is not None:
            self._housekeeper.join(0.5)

    # --- services ---------------------------------------------------------------------------------

    def _on_list_styles(self, _request: Any) -> ListStylesResponse:
        paths = self._session.library.paths()
        return ListStylesResponse(list(map(to_text, paths)), list(map(to_text, paths.values())), self._style())

    def _on_set_style(self, request: SetStyleRequest) -> SetStyleResponse:
        answer = self._logged("set_style", self._session.change(lambda current: change_from_service(request, current)))
        return SetStyleResponse(
            answer.success, to_text(answer.message), self._style(), self._session.appearance.controls.strength
        )

    def _on_add_style(self, request: AddStyleRequest) -> AddStyleResponse:
        try:
            check_style_name(request.name)  # before the work of a conversion
            if conversions.is_empty(request.image):
                raise OptionError("the style %r has no picture: its image is empty" % request.name)
            rgb = self._session.add_style(request.name, self._decode(request.image))
            answer = Answer(True, "added the style %s, %dx%d" % (request.name, rgb.shape[1], rgb.shape[0]))
        except StyleTransferError as error:
            answer = Answer(False, str(error))
        if answer.success and request.use:
            answer = self._session.change(lambda current: AppearanceChange([request.name]))
        self._logged("add_style", answer)
        return AddStyleResponse(answer.success, to_text(answer.message))

    def _on_pause(self, request: SetBoolRequest) -> SetBoolResponse:
        return SetBoolResponse(*self._session.set_paused(request.data))

    def _on_save(self, _request: Any) -> TriggerResponse:
        try:
            saved = self._session.save(self._parameters.output_dir, "~output_dir")
            # The path alone, unless the picture is not what the stream shows now.
            answer = Answer(True, ", ".join(frame.path if frame.is_current else str(frame) for frame in saved))
        except StyleTransferError as error:
            answer = self._logged("save", Answer(False, str(error)))
        return TriggerResponse(answer.success, to_text(answer.message))

    def _style(self) -> str:
        return to_text(",".join(self._session.appearance.styles))

    def _logged(self, service: str, answer: Answer) -> Answer:
        if not answer.success:
            rospy.logwarn("%s: %s", service, answer.message)
        return answer

    # --- dynamic_reconfigure ------------------------------------------------------------------------

    def _fields(self) -> Dict[str, Any]:
        """The values in force, as dynamic_reconfigure shows them."""
        appearance = self._session.appearance
        return dict(
            fields_of(appearance.controls),
            style=self._style(),
            mask=to_text(appearance.mask),
            style_weights=",".join("%g" % weight for weight in appearance.weights),
            fade=float(self._fade),
            max_side=appearance.max_side,
            paused=self._session.paused,
        )

    def _lasting_fields(self) -> Dict[str, Any]:
        """Those of them that must differ for a restarted node, which has lost the added styles."""
        if not self._session.uses_added_style():
            return {}
        p = self._parameters
        return {
            "style": ",".join(p.style),
            "mask": p.mask,
            "style_weights": ",".join("%g" % weight for weight in p.style_weights),
        }

    def _on_reconfigure(self, fields: Mapping[str, Any]) -> None:
        """Apply ``fields``, those that are to change."""
        fade = fields.get("fade", self._fade)
        if set(fields) - {"paused", "fade"}:
            answer = self._session.change(
                lambda current: change_from_fields(fields, fade, current, self._session.library.paths())
            )
            if not answer.success:
                raise StyleTransferError(answer.message)
        self._fade = fade
        if "paused" in fields:
            self._session.set_paused(fields["paused"])

    # --- housekeeping -------------------------------------------------------------------------------

    def _on_change(self) -> None:
        """The session has changed; called from any of its threads."""
        self._wake.set()  # topics may be wanted now, or no longer
        self._publish_status()
        if self._status is not None:
            self._reconfigure.tell()

    def _on_fatal(self, message: str) -> None:
        self.fatal_error = message

    def _housekeeping(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            self._try(self._update_subscriptions)
            if time.monotonic() >= due:
                due = time.monotonic() + STATUS_PERIOD
                for task in (self._session.check_streams, self._publish_status, self._diagnostics.publish):
                    self._try(task)

    def _try(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:  # the master may be away for a moment
            if not self._stop.is_set():
                rospy.logerr_throttle_identical(10, "housekeeping: %s: %r" % (task.__name__, error))

    def _update_subscriptions(self) -> None:
        """Subscribe to what the session wants, and to nothing else."""
        if self._stop.is_set():
            return
        for camera in self._cameras:
            if self._session.wants_frames(self._parameters.always_subscribe or camera.has_listeners()):
                camera.subscribe(masked=self._session.wants_masks())
            elif camera.stream.is_open:
                camera.unsubscribe()
        wanted = self._session.wants_style_images()
        if wanted and self._style_subscriber is None:
            self._style_subscriber = subscribe(STYLE_IMAGE, self._on_style_image, self._parameters.image_transport)
        elif not wanted and self._style_subscriber is not None:
            self._style_subscriber.unregister()
            self._style_subscriber = None
            self._session.offer_style_image(None)

    def _on_style_image(self, message: Image) -> None:
        if not conversions.is_empty(message):
            self._session.offer_style_image(lambda: self._decode(message))

    def _publish_status(self) -> None:
        if self._status is None:
            return
        try:
            self._status.publish(status_message(self._session))
        except rospy.ROSException:
            pass  # shutting down
        except Exception as error:  # a status that cannot be sent must stop nothing
            rospy.logerr_throttle_identical(10, "the status cannot be published: %r" % error)


class _PeerListener(rospy.SubscribeListener):
    """Sets an event when a subscriber comes or goes.  rospy calls this from connection threads, even from inside
    ``publish()``, so nothing is decided here."""

    def __init__(self, event: threading.Event) -> None:
        super().__init__()
        self._event = event

    def peer_subscribe(self, topic_name: str, topic_publish: Any, peer_publish: Any) -> None:
        self._event.set()

    def peer_unsubscribe(self, topic_name: str, num_peers: int) -> None:
        self._event.set()


def main() -> None:
    """Run the node until shutdown; a wrong parameter ends it with one log line and code 1."""
    environment.use_one_heap()
    environment.leave_out_keras()
    rospy.init_node("style_transfer", disable_signals=True)
    # rospy's own handler calls the master from wherever the signal arrives, and would wait for a lock forever if
    # that is inside another call.
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    try:
        node = StyleTransferNode(params.read(rospy.get_param, rospy.logwarn))
    except StyleTransferError as error:
        rospy.logfatal("style_transfer: %s", error)
        raise SystemExit(1) from None
    rospy.on_shutdown(node.shutdown)
    node.setup(ending.is_set)
    while not ending.wait(0.1) and not rospy.is_shutdown() and not node.fatal_error:
        pass
    rospy.signal_shutdown(node.fatal_error or "a signal arrived")
    node.shutdown()  # the hook is not called again if the master had started the shutdown
    # The worker may be importing TensorFlow, which nothing interrupts and Python would wait for.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(1 if node.fatal_error else 0)
