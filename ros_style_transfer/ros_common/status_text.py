"""The node's status on one line, for people."""

from typing import Any


def status_text(status: Any) -> str:
    """A StyleStatus as one line."""
    style = ", ".join("%s %g" % pair for pair in zip(status.style.split(","), status.weights)) or status.style
    line = "%-7s %5.1f fps  latency %4.0f ms  %s: %s (%s)  dropped %d  failed %d" % (
        status.state,
        status.output_rate,
        1e3 * status.latency,
        status.model,
        style,
        status.controls or "strength 1",
        status.dropped,
        status.failed,
    )
    return line + ("  | " + status.message if status.message else "")
