"""What ``/diagnostics`` says about the model and each stream."""

from typing import List, NamedTuple, Tuple

from .. import resources
from ..streaming.session import StreamSession
from ..streaming.stream import Stream
from .conversions import to_text

OK, WARN, ERROR = range(3)  # the levels of diagnostic_msgs/DiagnosticStatus
RATE_TOLERANCE = 0.9  # fraction of the expected rate below which a stream gets a warning


class Health(NamedTuple):
    """A level, one sentence, and ``(key, value)`` pairs, as texts that a message can hold."""

    level: int
    message: str
    values: List[Tuple[str, str]]


def stream_title(stream: Stream) -> str:
    """The name of a stream's part of the diagnostics."""
    return "stream %s" % stream.name if stream.name else "stream"


def of_model(session: StreamSession) -> Health:
    """The model's `Health`."""
    status = session.status()
    level, message = (ERROR, to_text(status.fatal_error)) if status.fatal_error else (OK, status.state)
    return Health(
        level,
        message,
        [
            ("model", status.model),
            ("device", status.device),
            ("precision", status.precision),
            ("memory of the process", "%.0f MB" % (resources.own_memory() / 1e6)),
            ("last event", to_text(status.message)),
            ("last error", to_text(status.last_error or "none")),
        ],
    )


def of_stream(session: StreamSession, stream: Stream, expected_rate: float) -> Health:
    """A stream's `Health`.

    Args:
        expected_rate: painted frames per second; 0: none is expected.
    """
    summary = stream.stats.read()
    resting = session.resting_reason(stream)
    level, message = OK, "%.1f frames per second painted" % summary.output_rate
    if resting:
        message = resting
    elif stream.failure:
        level, message = ERROR, "frames cannot be painted: " + stream.failure
    elif stream.silence_notice:
        level, message = WARN, stream.silence_notice
    elif not summary.input_rate:
        level, message = WARN, "no frame on %s" % stream.topic
    elif summary.output_rate < RATE_TOLERANCE * expected_rate:
        level = WARN
        message = "%.1f frames per second painted, %.1f expected" % (summary.output_rate, expected_rate)
    elif stream.mask_notice:
        level, message = WARN, stream.mask_notice
    return Health(
        level,
        to_text(message),
        [
            ("topic", stream.topic),
            ("frames in", "%.2f Hz" % summary.input_rate),
            ("frames painted", "%.2f Hz" % summary.output_rate),
            ("expected", "%.2f Hz" % expected_rate if expected_rate else "no rate"),
            ("latency", "%.1f ms" % (1e3 * summary.latency)),
            *((name, "%.1f ms" % (1e3 * seconds)) for name, seconds in summary.timing._asdict().items()),
            ("replaced by a newer frame", str(summary.dropped)),
            ("failed", str(summary.failed)),
            ("skipped, because nothing moved", str(summary.skipped)),
        ],
    )
