"""Requests from ROS as changes of a `StreamSession`, and its status as a message.

Messages are taken and filled in by their fields, which are the same in ROS 1 and ROS 2.
"""

from typing import Any, Callable, Container, Dict, Mapping

import numpy as np

from ..controls import controls_from, describe, parse_number
from ..errors import OptionError, StyleTransferError
from ..streaming.appearance import NO_MASK, Appearance, AppearanceChange
from ..streaming.session import Answer, StreamSession, check_style_name
from . import conversions, params
from .conversions import to_float32, to_text, to_uint32
from .fields import controls_of, fields_of


def fill_status(message: Any, session: StreamSession) -> None:
    """Fill in a StyleStatus, except its header, with values that its fields can hold."""
    status = session.status()
    appearance, summary = status.appearance, status.summary
    message.state = status.state
    message.model = status.model
    message.style = to_text(",".join(appearance.styles))
    message.weights = list(map(to_float32, appearance.weights))
    message.controls = to_text(describe(appearance.controls))
    message.strength = to_float32(appearance.controls.strength)
    message.input_rate = to_float32(summary.input_rate)
    message.output_rate = to_float32(summary.output_rate)
    message.latency = to_float32(summary.latency)
    for step, seconds in summary.timing._asdict().items():
        setattr(message, step + "_time", to_float32(seconds))
    message.dropped = to_uint32(summary.dropped)
    message.failed = to_uint32(summary.failed)
    message.skipped = to_uint32(summary.skipped)
    message.message = to_text(status.message)


class Requests:
    """Answers the node's requests, except renders.

    Args:
        session: what the requests change.
        parameters: those that the node was started with.
        to_rgb: the picture of an Image.
        warn: logs a request that is refused.
    """

    def __init__(
        self,
        session: StreamSession,
        parameters: params.Parameters,
        to_rgb: Callable[[Any], np.ndarray],
        warn: Callable[[str], None],
    ) -> None:
        self._session = session
        self._parameters = parameters
        self._to_rgb = to_rgb
        self._warn = warn
        self._fade = 0.0  # seconds, of changes by fields

    # --- services: each fills in and returns its response --------------------------------------------

    def list_styles(self, _request: Any, response: Any) -> Any:
        """The service ListStyles."""
        paths = self._session.library.paths()
        response.names = list(map(to_text, paths))
        response.paths = list(map(to_text, paths.values()))
        response.style = self._style()
        response.masks = list(map(to_text, self._session.library.masks()))
        return response

    def set_style(self, request: Any, response: Any) -> Any:
        """The service SetStyle."""
        answer = self._session.change(lambda current: change_from_service(request, current))
        response.style = self._style()
        response.strength = to_float32(self._session.appearance.controls.strength)
        return self._fill(response, "set_style", answer)

    def add_style(self, request: Any, response: Any) -> Any:
        """The service AddStyle."""
        try:
            check_style_name(request.name)  # before the work of a conversion
            if conversions.is_empty(request.image):
                raise OptionError("the style %r has no picture: its image is empty" % request.name)
            rgb = self._session.add_style(request.name, self._to_rgb(request.image))
            answer = Answer(True, "added the style %s, %dx%d" % (request.name, rgb.shape[1], rgb.shape[0]))
        except StyleTransferError as error:
            answer = Answer(False, str(error))
        if answer.success and request.use:
            answer = self._session.change(lambda current: AppearanceChange([request.name]))
        return self._fill(response, "add_style", answer)

    def pause(self, request: Any, response: Any) -> Any:
        """The service SetBool that pauses or resumes."""
        return self._fill(response, "pause", self._session.set_paused(request.data))

    def save(self, _request: Any, response: Any) -> Any:
        """The service Trigger that saves the newest frames."""
        try:
            saved = self._session.save(self._parameters.output_dir, "~output_dir")
            # The path alone, unless the picture is not what the stream shows now.
            answer = Answer(True, ", ".join(frame.path if frame.is_current else str(frame) for frame in saved))
        except StyleTransferError as error:
            answer = Answer(False, str(error))
        return self._fill(response, "save", answer)

    def _fill(self, response: Any, service: str, answer: Answer) -> Any:
        response.success, response.message = answer.success, to_text(answer.message)
        if not answer.success:
            self._warn("%s: %s" % (service, response.message))
        return response

    def _style(self) -> str:
        return to_text(",".join(self._session.appearance.styles))

    # --- fields ---------------------------------------------------------------------------------------

    def fields(self) -> Dict[str, Any]:
        """The values of `fields.FIELDS` that are in force."""
        appearance = self._session.appearance
        return dict(
            fields_of(appearance.controls),
            style=self._style(),
            mask=to_text(appearance.mask),
            style_weights=",".join("%g" % weight for weight in appearance.weights),
            fade=float(self._fade),
            max_side=appearance.max_side,
            paused=self._session.paused,
        )

    def lasting_fields(self) -> Dict[str, Any]:
        """Those of them that must differ for a restarted node, which has lost the added styles."""
        if not self._session.uses_added_style():
            return {}
        p = self._parameters
        return {
            "style": ",".join(p.style),
            "mask": p.mask,
            "style_weights": ",".join("%g" % weight for weight in p.style_weights),
        }

    def change_fields(self, fields: Mapping[str, Any]) -> None:
        """Apply ``fields``, those of `fields.FIELDS` that are to change; returns when they are in force.

        Raises:
            StyleTransferError: a value is wrong; nothing has changed.
        """
        fade = fields.get("fade", self._fade)
        if set(fields) - {"paused", "fade"}:
            answer = self._session.change(
                lambda current: change_from_fields(fields, fade, current, self._session.library.paths())
            )
            if not answer.success:
                raise StyleTransferError(answer.message)
        self._fade = fade
        if "paused" in fields:
            self._session.set_paused(fields["paused"])


def change_from_service(request: Any, current: Appearance) -> AppearanceChange:
    """What a request to ~set_style changes.

    Raises:
        OptionError: fields of the request contradict each other, or a control is wrong.
    """
    if request.style and request.styles:
        raise OptionError("give either style or styles, not both")
    controls: Dict[str, Any] = {item.key: item.value for item in request.controls}
    max_side = None
    if "max_side" in controls:
        max_side = parse_number("max_side", int, controls.pop("max_side") or "0")
        params.prefixed("max_side", params.check_max_side, max_side)
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
        max_side,
    )


def change_from_fields(
    fields: Mapping[str, Any], fade: float, current: Appearance, known: Container[str] = ()
) -> AppearanceChange:
    """What ``fields``, by the names of `fields.FIELDS`, change; see `change_from_service`.

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
