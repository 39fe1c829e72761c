"""Renders on request: the service ``~render`` and the action ``~render_action`` of ROS 1; see `ros_common.renders`."""

import logging
from typing import Any, Callable, Dict, Optional

import actionlib
import rospy
from actionlib.server_goal_handle import ServerGoalHandle
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger, TriggerResponse

from ros_style_transfer.msg import RenderAction, RenderFeedback, RenderProgress, RenderResult
from ros_style_transfer.srv import Render, RenderRequest, RenderResponse

from ..render.queue import Cancelled
from ..ros_common.renders import RenderCallbacks, RenderHandle, Renders
from ..streaming.session import StreamSession
from ..streaming.stream import no_frame_message
from . import conversions
from .camera_stream import explain_silence, resolve, subscribe


class RenderServer:
    """The rendering half of the node.  The constructor touches no middleware; `setup` connects.

    Args:
        parameters: `params.Parameters`.
        session: whose styles are used.
        camera_topic: where the next frame of the camera arrives.
    """

    def __init__(self, parameters: Any, session: StreamSession, camera_topic: str) -> None:
        self._transport = parameters.image_transport
        self._camera_topic = camera_topic
        self._handles: Dict[str, RenderHandle] = {}  # by the goal's name
        callbacks = RenderCallbacks(
            RenderProgress,
            Image,
            conversions.decoder(parameters),
            conversions.to_message,
            lambda message: self._progress.publish(message),
            lambda message: self._preview.publish(message),
            lambda message: self._image.publish(message),
            self._subscribe,
            self._no_frame,
        )
        self._renders = Renders(parameters, session, callbacks, logging.getLogger("rosout"))

    def setup(self) -> None:
        """Advertise everything."""
        self._renders.start()
        self._progress = rospy.Publisher("~render/progress", RenderProgress, queue_size=10)
        self._preview = rospy.Publisher("~render/preview", Image, queue_size=1)
        self._image = rospy.Publisher("~render/image", Image, queue_size=1, latch=True)
        rospy.Service("~render", Render, self._on_render)
        rospy.Service("~render/cancel", Trigger, lambda _: self._renders.cancel_current(TriggerResponse()))
        self._server = actionlib.ActionServer(
            "~render_action", RenderAction, self._on_goal, self._on_cancel_goal, auto_start=False
        )
        self._server.start()

    def shutdown(self) -> None:
        """End the renders and the threads that wait for them; returns when they have ended, after 3 s at most."""
        self._renders.shutdown()

    def _subscribe(self, callback: Callable[[Any], Any]) -> Callable[[], Any]:
        return subscribe(self._camera_topic, callback, self._transport).unregister

    def _no_frame(self, timeout: float) -> str:
        topic, transport = self._camera_topic, self._transport
        return no_frame_message(resolve(topic, transport), explain_silence(topic, transport), timeout)

    # --- the service and the action -----------------------------------------------------------------

    def _on_render(self, request: RenderRequest) -> RenderResponse:
        response = RenderResponse()
        self._renders.answer(request, response, RenderHandle())
        return response

    def _on_goal(self, goal: ServerGoalHandle) -> None:
        handle = RenderHandle(
            goal.set_accepted, lambda progress, preview: goal.publish_feedback(RenderFeedback(progress, preview))
        )
        self._handles[goal.get_goal_id().id] = handle
        result = RenderResult()
        self._renders.submit(goal.get_goal(), result, handle, lambda error: self._finish(goal, result, handle, error))

    def _on_cancel_goal(self, goal: ServerGoalHandle) -> None:
        handle = self._handles.get(goal.get_goal_id().id)
        if handle is not None:
            self._renders.cancel(handle)

    def _finish(
        self, goal: ServerGoalHandle, result: RenderResult, handle: RenderHandle, error: Optional[Exception]
    ) -> None:
        if error is None:
            goal.set_succeeded(result, result.message)
        elif isinstance(error, Cancelled):
            goal.set_canceled(result, result.message)
        elif handle.started.is_set():
            goal.set_aborted(result, result.message)
        else:
            goal.set_rejected(result, result.message)
        self._handles.pop(goal.get_goal_id().id, None)
