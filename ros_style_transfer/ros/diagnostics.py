"""What ``/diagnostics`` says of the node: each camera's stream, and the model."""
import rospy
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import Updater

from ros_style_transfer.msg import StyleStatus

from ..media import memory
from ..streaming.stream_stats import STEPS

SLOWEST = 0.9  # share of the expected rate below which a stream is warned of


class Diagnostics:
    """Publishes on ``/diagnostics``.  The constructor touches no middleware; `setup` connects.

    Args:
        cameras: `camera_stream.Camera` each.
        expected_rate: painted frames a second; 0: none is expected.
        status: () to (state, message, last error, model, device, dtype).
    """

    def __init__(self, cameras, expected_rate, status):
        self._cameras, self._expected, self._status = cameras, expected_rate, status

    def setup(self):
        self._updater = Updater()
        self._updater.setHardwareID(rospy.get_name())
        self._updater.add("model", self._model)
        for camera in self._cameras:
            self._updater.add(
                "stream %s" % camera.name if camera.name else "stream",
                lambda status, camera=camera: self._stream(status, camera))

    def publish(self):
        self._updater.force_update()

    def _model(self, status):
        state, message, last_error, model, device, dtype = self._status()
        status.summary(DiagnosticStatus.ERROR if state == StyleStatus.ERROR else DiagnosticStatus.OK,
                       message if state == StyleStatus.ERROR else state)
        status.add("model", model)
        status.add("device", device)
        status.add("precision", dtype)
        status.add("memory of the process", "%.0f MB" % (memory.own_memory() / 1e6))
        status.add("last event", message)
        status.add("last error", last_error or "none")
        return status

    def _stream(self, status, camera):
        counts = camera.meter.read()
        topic = rospy.resolve_name(camera.topic)
        if not camera.subscribed:
            status.summary(DiagnosticStatus.OK, "resting: nobody listens, or paused")
        elif not counts.input_rate:
            status.summary(DiagnosticStatus.WARN, "no frame comes on %s" % topic)
        elif counts.output_rate < SLOWEST * self._expected:
            status.summary(DiagnosticStatus.WARN, "%.1f frames a second painted, %.1f expected"
                           % (counts.output_rate, self._expected))
        elif camera.is_bare():
            status.summary(DiagnosticStatus.WARN, "no mask comes: frames are painted whole")
        else:
            status.summary(DiagnosticStatus.OK, "%.1f frames a second painted" % counts.output_rate)
        status.add("topic", topic)
        status.add("frames in", "%.2f Hz" % counts.input_rate)
        status.add("frames painted", "%.2f Hz" % counts.output_rate)
        status.add("expected", "%.2f Hz" % self._expected if self._expected else "no rate")
        status.add("latency", "%.1f ms" % (1e3 * counts.latency))
        for name, seconds in zip(STEPS, counts.steps):
            status.add(name, "%.1f ms" % (1e3 * seconds))
        status.add("replaced by a newer frame", str(counts.dropped))
        status.add("failed", str(counts.failed))
        return status

