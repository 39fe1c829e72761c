"""What the page may ask for, parsed and checked.  Everything that comes from a browser passes here."""

import json
import math
from typing import Any, Collection, Dict, List, NamedTuple

from ...controls import CONTROLS, Range, check_range
from ...errors import ImageError, OptionError
from ...media import decoding
from ...media.images import MAX_SIDE, MIN_SIDE
from ...ros_common.editing import MAX_SIDE_FIELD
from ...streaming.appearance import MAX_FADE, NO_MASK, RESERVED_STYLES, TOPIC

MAX_MESSAGE = 2**16  # bytes
MAX_UPLOAD = 32 * 2**20  # bytes of an added style,
MAX_UPLOAD_PIXELS = 64 * 10**6  # and its pixels
MAX_TEXT = 200  # characters of a control's value
MAX_STYLES = 32  # of a mixture
MAX_ITERATIONS, MAX_TIME_BUDGET = 100000, 86400


class View(NamedTuple):
    """What a viewer looks at.

    Attributes:
        camera: its name.
        both: whether it sees the camera's frames, too.
        side: pixels of a picture's longer side on its screen.
        visible: whether it is looking at all.
    """

    camera: str = ""
    both: bool = True
    side: float = 640.0
    visible: bool = False


def parse(text: Any) -> Dict[str, Any]:
    """A message of the page, ``{"do": NAME, ...}``.

    Raises:
        OptionError: it is no such message.
    """
    try:
        message = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise OptionError("a message must be JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("do"), str):
        raise OptionError('a message must be an object with a text "do"')
    return message


def parse_view(message: Dict[str, Any], cameras: Collection[str]) -> View:
    """What the viewer looks at from now on."""
    camera, side = message.get("camera", ""), message.get("side", 640)
    if camera not in cameras:
        raise OptionError("there is no camera %r" % (camera,))
    check_range("side", side, 1, 2**16)
    return View(camera, message.get("both") is True, float(side), message.get("visible") is True)


def parse_change(message: Dict[str, Any], styles: Collection[str], masks: Collection[str] = ()) -> Dict[str, Any]:
    """The controls, styles, weights, fade and mask that a message changes.

    Args:
        styles, masks: the names in the node's library; the page may name no others, and so no path.
    """
    wanted = message.get("wanted")
    if not isinstance(wanted, dict) or not wanted:
        raise OptionError("a change needs at least one control")
    changes: Dict[str, Any] = {}
    for name, value in wanted.items():
        if name == "styles":
            changes[name] = _parse_styles(value, styles)
        elif name == "weights":
            changes[name] = _parse_weights(value)
        elif name == "fade":
            check_range("fade", value, 0.0, MAX_FADE)
            changes[name] = float(value)
        elif name == "mask":
            if not isinstance(value, str) or value not in (NO_MASK, TOPIC) and value not in masks:
                raise OptionError("unknown mask %r" % (value,))
            changes[name] = value
        elif name == MAX_SIDE_FIELD.name:
            changes[name] = _parse_value(name, value)
        elif name not in CONTROLS or not CONTROLS[name].live:
            raise OptionError("unknown control %r" % (name,))
        elif name == "strength":
            low_high = CONTROLS[name].allowed
            assert isinstance(low_high, Range)
            check_range(name, value, *low_high)
            changes[name] = float(value)
        else:
            changes[name] = _parse_value(name, value)
    return changes


def parse_goal(message: Dict[str, Any]) -> Dict[str, Any]:
    """The fields of a render's goal."""
    size, iterations, seconds = (message.get(name, 0) for name in ("size", "iterations", "time_budget"))
    for name, value, low, high in (
        ("size", size, MIN_SIDE, MAX_SIDE),
        ("iterations", iterations, 0, MAX_ITERATIONS),
        ("time_budget", seconds, 0, MAX_TIME_BUDGET),
    ):
        check_range(name, value, low, high)
    return dict(size=int(size), iterations=int(iterations), time_budget=float(seconds), preview_every=2)


def check_upload(data: bytes, name: str) -> None:
    """Raise `ImageError` unless ``data`` is a picture that is small enough to be decoded; reads its header alone."""
    with decoding.opened(data, name) as picture:
        width, height = picture.size
    if width * height > MAX_UPLOAD_PIXELS:
        raise ImageError("the picture %s has more than %d million pixels" % (name, MAX_UPLOAD_PIXELS // 10**6))


def _parse_styles(value: Any, styles: Collection[str]) -> List[str]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_STYLES:
        raise OptionError("styles must be a list of 1 to %d names" % MAX_STYLES)
    for name in value:
        if not isinstance(name, str) or name not in styles and name not in RESERVED_STYLES:
            raise OptionError("unknown style %r" % (name,))
    return value


def _parse_weights(value: Any) -> List[float]:
    if not isinstance(value, list) or len(value) > MAX_STYLES:
        raise OptionError("weights must be a list of at most %d numbers" % MAX_STYLES)
    for weight in value:
        check_range("weight", weight, 0.0, 1e6)
    return [float(weight) for weight in value]


def _parse_value(name: str, value: Any) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number and not isinstance(value, str) or len(str(value)) > MAX_TEXT:
        raise OptionError("%s must be a number or a text of at most %d characters" % (name, MAX_TEXT))
    return str(value)
