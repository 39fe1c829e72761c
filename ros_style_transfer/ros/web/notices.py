"""Why nothing is coming, in a plain sentence, and what to do."""

from typing import Any, Mapping, NamedTuple, Optional


class Notice(NamedTuple):
    """What the page says above the pictures.

    Attributes:
        kind: ``error``, or ``wait`` for what is as it should be.
        text: what is the matter.
        advice: what to do.
    """

    kind: str
    text: str
    advice: str


def of_master(uri: str) -> Notice:
    """The ROS master does not answer."""
    return Notice("error", "The ROS master at %s does not answer." % uri, "Start it with roscore or roslaunch.")


def of_absence(node: str, image: str, silence: Optional[float]) -> Notice:
    """The node does not publish its status.

    Args:
        image: the camera's topic.
        silence: seconds since its last status, if it is there; None if it is not.
    """
    if silence is not None:
        text = "The node %s has been silent for %.0f seconds." % (node, silence)
        return Notice("error", text, "It may be suspended or overloaded; look at its terminal.")
    command = "roslaunch ros_style_transfer stylize.launch image:=%s" % image
    return Notice("error", "The node %s is not running." % node, "Start it: " + command)


def of_status(status: Mapping[str, Any], paused: bool) -> Optional[Notice]:
    """What the node itself says; None if it is stylizing."""
    if status["state"] == "loading":
        return Notice("wait", "The node is loading the model %s." % status["model"], "This takes some seconds.")
    if paused:
        return Notice("wait", "The stream is paused.", "Press Resume.")
    if status["state"] == "error":
        return Notice("error", "Frames cannot be stylized.", status["message"])
    return None


def of_silence(what: str, topic: str, reason: str) -> Notice:
    """No frame arrives on a topic, because of ``reason``."""
    return Notice("error", "No %s arrives on %s." % (what, topic), sentence(reason))


def sentence(text: str) -> str:
    """``text`` with a capital letter and a full stop."""
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith((".", "!", "?")) else ".")
