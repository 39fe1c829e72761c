"""Renders on request: the service ``~/render`` and the action ``~/render_action`` of ROS 2."""

import logging
import threading
from typing import Any, Callable, Dict, Optional, Tuple

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from ros_style_transfer.action import Render as RenderAction
from ros_style_transfer.msg import RenderProgress
from ros_style_transfer.srv import Render

from ..render.queue import Cancelled
from ..ros_common.params import Parameters
from ..ros_common.renders import RenderCallbacks, RenderHandle, Renders
from ..streaming.session import StreamSession
from ..streaming.stream import no_frame_message
from . import conversions
from .camera_stream import decoder
from .topics import ImageSubscription, explain_silence, resolve


class _Goal:
    """A goal that is being worked on."""

    def __init__(self, goal: ServerGoalHandle) -> None:
        self.handle = RenderHandle(
            goal.execute,
            lambda progress, preview: goal.publish_feedback(RenderAction.Feedback(progress=progress, preview=preview)),
        )
        self.result = RenderAction.Result()
        self.error: Optional[Exception] = None
        self.finished = threading.Event()


class RenderServer:
    """The rendering half of the node.  `setup` advertises.

    Args:
        node: whose service and action these are.
        parameters: `params.Parameters`.
        session: whose styles are used.
        camera_topic: where the next frame of the camera arrives.
    """

    def __init__(
        self, node: Node, parameters: Parameters, session: StreamSession, camera_topic: str, logger: logging.Logger
    ) -> None:
        self._node = node
        self._transport = parameters.image_transport
        self._camera_topic = camera_topic
        self._group = ReentrantCallbackGroup()  # a request waits in its callback until it is done
        self._goals: Dict[Tuple[int, ...], _Goal] = {}
        callbacks = RenderCallbacks(
            RenderProgress,
            Image,
            decoder(parameters),
            conversions.to_message,
            lambda message: self._progress.publish(message),
            lambda message: self._preview.publish(message),
            lambda message: self._image.publish(message),
            self._subscribe,
            self._no_frame,
        )
        self._renders = Renders(parameters, session, callbacks, logger)

    def setup(self) -> None:
        """Advertise everything."""
        self._renders.start()
        node, group = self._node, self._group
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._progress = node.create_publisher(RenderProgress, "~/render/progress", 10)
        self._preview = node.create_publisher(Image, "~/render/preview", 1)
        self._image = node.create_publisher(Image, "~/render/image", latched)
        node.create_service(Render, "~/render", self._on_render, callback_group=group)
        node.create_service(
            Trigger,
            "~/render/cancel",
            lambda _, response: self._renders.cancel_current(response),
            callback_group=group,
        )
        self._server = ActionServer(
            node,
            RenderAction,
            "~/render_action",
            self._execute,
            handle_accepted_callback=self._on_goal,
            cancel_callback=self._on_cancel_goal,
            callback_group=group,
        )

    def shutdown(self) -> None:
        """End the renders and the threads that wait for them; returns when they have ended, after 3 s at most."""
        self._renders.shutdown()

    def _subscribe(self, callback: Callable[[Any], Any]) -> Callable[[], Any]:
        images = ImageSubscription(self._node, self._camera_topic, self._transport, callback, self._group)
        images.open()
        return images.close

    def _no_frame(self, timeout: float) -> str:
        topic, transport = self._camera_topic, self._transport
        explanation = explain_silence(self._node, topic, transport)
        return no_frame_message(resolve(self._node, topic, transport), explanation, timeout)

    # --- the service and the action -----------------------------------------------------------------

    def _on_render(self, request: Render.Request, response: Render.Response) -> Render.Response:
        self._renders.answer(request, response, RenderHandle())
        return response

    def _on_goal(self, goal: ServerGoalHandle) -> None:
        """A goal was accepted: it executes when its turn comes."""
        ours = self._goals[tuple(goal.goal_id.uuid)] = _Goal(goal)

        def finish(error: Optional[Exception]) -> None:
            ours.error = error
            ours.finished.set()
            if not ours.handle.started.is_set():
                goal.execute()  # only an executing goal can end

        self._renders.submit(goal.request, ours.result, ours.handle, finish)

    def _on_cancel_goal(self, goal: ServerGoalHandle) -> CancelResponse:
        ours = self._goals.get(tuple(goal.goal_id.uuid))
        if ours is None:
            return CancelResponse.REJECT
        self._renders.cancel(ours.handle)
        return CancelResponse.ACCEPT

    def _execute(self, goal: ServerGoalHandle) -> RenderAction.Result:
        ours = self._goals[tuple(goal.goal_id.uuid)]
        ours.finished.wait()
        if ours.error is None:
            goal.succeed()
        elif isinstance(ours.error, Cancelled) and goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()
        del self._goals[tuple(goal.goal_id.uuid)]
        return ours.result
