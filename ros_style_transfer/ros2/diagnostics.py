"""The node on ``/diagnostics``: each camera's stream, and the model."""

from typing import Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from ..ros_common import health
from ..streaming.session import StreamSession
from .camera_stream import CameraStream


class Diagnostics:
    """Publishes on ``/diagnostics``.

    Args:
        node: that publishes.
        session: what is diagnosed.
        cameras: its cameras.
        expected_rate: painted frames per second; 0: none is expected.
    """

    def __init__(
        self, node: Node, session: StreamSession, cameras: Sequence[CameraStream], expected_rate: float
    ) -> None:
        self._node = node
        self._session = session
        self._cameras = cameras
        self._expected_rate = expected_rate
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 1)

    def publish(self) -> None:
        """Publish the present diagnosis."""
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [self._status("model", health.of_model(self._session))]
        for camera in self._cameras:
            found = health.of_stream(self._session, camera.stream, self._expected_rate)
            message.status.append(self._status(health.stream_title(camera.stream), found))
        self._publisher.publish(message)

    def _status(self, title: str, found: health.Health) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=bytes([found.level]),
            name="%s: %s" % (self._node.get_name(), title),
            message=found.message,
            hardware_id=self._node.get_fully_qualified_name(),
            values=[KeyValue(key=key, value=value) for key, value in found.values],
        )
