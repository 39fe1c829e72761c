"""Requests from ROS as changes of a `StreamSession`, and its status as a message."""

from typing import Any, Container, Mapping

import rospy

from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.srv import SetStyleRequest

from ..controls import controls_from, describe
from ..errors import OptionError
from ..ros_common import params
from ..ros_common.fields import controls_of
from ..streaming.appearance import NO_MASK, Appearance, AppearanceChange
from ..streaming.session import StreamSession
from .conversions import to_float32, to_text, to_uint32


def status_message(session: StreamSession) -> StyleStatus:
    """The status of ``session``, with values that its fields can hold."""
    status = session.status()
    appearance, summary = status.appearance, status.summary
    message = StyleStatus(
        state=status.state,
        model=status.model,
        style=to_text(",".join(appearance.styles)),
        weights=list(map(to_float32, appearance.weights)),
        controls=to_text(describe(appearance.controls)),
        strength=to_float32(appearance.controls.strength),
        input_rate=summary.input_rate,
        output_rate=summary.output_rate,
        latency=to_float32(summary.latency),
        dropped=to_uint32(summary.dropped),
        failed=to_uint32(summary.failed),
        message=to_text(status.message),
        **{step + "_time": to_float32(seconds) for step, seconds in summary.timing._asdict().items()},
    )
    message.header.stamp = rospy.get_rostime()
    return message


def change_from_service(request: SetStyleRequest, current: Appearance) -> AppearanceChange:
    """What a request to ~set_style changes.

    Raises:
        OptionError: fields of the request contradict each other, or a control is wrong.
    """
    if request.style and request.styles:
        raise OptionError("give either style or styles, not both")
    controls = {item.key: item.value for item in request.controls}
    if request.set_strength:
        controls["strength"] = request.strength
    elif request.strength:
        raise OptionError("strength %g was given without set_strength: true; give both or neither" % request.strength)
    return AppearanceChange(
        request.styles or ([request.style] if request.style else []),
        request.weights,
        request.fade,
        request.mask,
        controls_from(controls, current.controls),
    )


def change_from_fields(
    fields: Mapping[str, Any], fade: float, current: Appearance, known: Container[str] = ()
) -> AppearanceChange:
    """What ``fields`` of dynamic_reconfigure change; see `change_from_service`.

    Args:
        known: the names of the library's styles.
    """
    max_side = fields.get("max_side", current.max_side)
    params.prefixed("max_side", params.check_max_side, max_side)
    styles, weights = (), ()
    if "style" in fields or "style_weights" in fields:
        names = fields.get("style", current.styles)
        styles = params.prefixed("style", lambda names: params.parse_names(names, known), names)
        weights = params.prefixed("style_weights", params.parse_numbers, fields.get("style_weights", ""))
    mask = fields.get("mask", current.mask)
    return AppearanceChange(
        styles,
        weights,
        fade,
        "" if mask == current.mask else mask or NO_MASK,
        controls_of(fields, current.controls),
        max_side,
    )
