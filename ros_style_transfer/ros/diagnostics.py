"""The node on ``/diagnostics``: each camera's stream, and the model."""

from typing import Callable, Sequence

import rospy
from diagnostic_updater import DiagnosticStatusWrapper, Updater

from ..ros_common import health
from ..streaming.session import StreamSession
from .camera_stream import CameraStream


class Diagnostics:
    """Publishes on ``/diagnostics``.  The constructor touches no middleware; `setup` connects.

    Args:
        session: what is diagnosed.
        cameras: its cameras.
        expected_rate: painted frames per second; 0: none is expected.
    """

    def __init__(self, session: StreamSession, cameras: Sequence[CameraStream], expected_rate: float) -> None:
        self._session = session
        self._cameras = cameras
        self._expected_rate = expected_rate

    def setup(self) -> None:
        """Advertise ``/diagnostics``."""
        self._updater = Updater()
        self._updater.setHardwareID(rospy.get_name())
        self._add("model", lambda: health.of_model(self._session))
        for camera in self._cameras:
            self._add(
                health.stream_title(camera.stream),
                lambda camera=camera: health.of_stream(self._session, camera.stream, self._expected_rate),
            )

    def _add(self, title: str, examine: Callable[[], health.Health]) -> None:
        def fill(status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
            found = examine()
            status.summary(found.level, found.message)
            for key, value in found.values:
                status.add(key, value)
            return status

        self._updater.add(title, fill)

    def publish(self) -> None:
        """Publish the present diagnosis."""
        self._updater.force_update()
