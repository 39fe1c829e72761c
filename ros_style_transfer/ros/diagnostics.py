"""The node on ``/diagnostics``: each camera's stream, and the model."""

from typing import Sequence

import rospy
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper, Updater

from .. import resources
from ..streaming.session import StreamSession
from .camera_stream import CameraStream
from .conversions import to_text

RATE_TOLERANCE = 0.9  # fraction of the expected rate below which a stream gets a warning


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
        self._updater.add("model", self._diagnose_model)
        for camera in self._cameras:
            self._updater.add(
                "stream %s" % camera.name if camera.name else "stream",
                lambda status, camera=camera: self._diagnose_stream(status, camera),
            )

    def publish(self) -> None:
        """Publish the present diagnosis."""
        self._updater.force_update()

    def _diagnose_model(self, status: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        session = self._session.status()
        if session.fatal_error:
            status.summary(DiagnosticStatus.ERROR, to_text(session.fatal_error))
        else:
            status.summary(DiagnosticStatus.OK, session.state)
        status.add("model", session.model)
        status.add("device", session.device)
        status.add("precision", session.precision)
        status.add("memory of the process", "%.0f MB" % (resources.own_memory() / 1e6))
        status.add("last event", to_text(session.message))
        status.add("last error", to_text(session.last_error or "none"))
        return status

    def _diagnose_stream(self, status: DiagnosticStatusWrapper, camera: CameraStream) -> DiagnosticStatusWrapper:
        stream, expected = camera.stream, self._expected_rate
        summary = stream.stats.read()
        resting = self._session.resting_reason(stream)
        if resting:
            status.summary(DiagnosticStatus.OK, resting)
        elif stream.failure:
            status.summary(DiagnosticStatus.ERROR, to_text("frames cannot be painted: " + stream.failure))
        elif stream.silence_notice:
            status.summary(DiagnosticStatus.WARN, to_text(stream.silence_notice))
        elif not summary.input_rate:
            status.summary(DiagnosticStatus.WARN, "no frame on %s" % stream.topic)
        elif summary.output_rate < RATE_TOLERANCE * expected:
            status.summary(
                DiagnosticStatus.WARN, "%.1f frames per second painted, %.1f expected" % (summary.output_rate, expected)
            )
        elif stream.mask_notice:
            status.summary(DiagnosticStatus.WARN, to_text(stream.mask_notice))
        else:
            status.summary(DiagnosticStatus.OK, "%.1f frames per second painted" % summary.output_rate)
        status.add("topic", stream.topic)
        status.add("frames in", "%.2f Hz" % summary.input_rate)
        status.add("frames painted", "%.2f Hz" % summary.output_rate)
        status.add("expected", "%.2f Hz" % expected if expected else "no rate")
        status.add("latency", "%.1f ms" % (1e3 * summary.latency))
        for name, seconds in summary.timing._asdict().items():
            status.add(name, "%.1f ms" % (1e3 * seconds))
        status.add("replaced by a newer frame", str(summary.dropped))
        status.add("failed", str(summary.failed))
        return status
