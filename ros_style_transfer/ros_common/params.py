"""The node's private parameters: read once, checked, and reported all together if they are wrong."""

import math
import os
import re
from typing import Any, Callable, Container, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..controls import (
    ALIASES,
    CONTROLS,
    SETTINGS,
    Control,
    Controls,
    check,
    check_choice,
    check_integer,
    check_model,
    check_range,
    check_value,
    check_weights,
    controls_from,
    current_name,
)
from ..errors import OptionError, StyleTransferError
from ..media.style_library import StyleLibrary, split_names
from ..models import weights
from ..render.queue import NICENESS
from ..streaming.appearance import RESERVED_STYLES, TOPIC, check_style_count
from ..streaming.session import SessionOptions
from .fields import RANGES
from .topic_hints import TRANSPORTS

FORMATS = ("jpeg", "png")  # of compressed images


class Parameters(NamedTuple):
    """The node's configuration.  The table of parameters in ``doc/node.md`` describes each."""

    style: Tuple[str, ...]
    style_weights: Tuple[float, ...]
    mask: str
    max_side: int
    cameras: Tuple[str, ...]
    image_transport: str
    compressed_format: str
    jpeg_quality: int
    always_subscribe: bool
    expected_rate: float
    mask_tolerance: float
    max_frame_megapixels: float
    depth_range: Optional[Tuple[float, float]]
    model: str
    precision: str
    max_memory: float
    gpu_memory_mb: int
    style_dirs: List[str]
    weights_dir: str
    output_dir: str
    frame_timeout: float
    render_share: str
    controls: Controls

    def session_options(self) -> SessionOptions:
        """What a session with these parameters starts with."""
        return SessionOptions(
            self.style,
            self.style_weights,
            self.mask,
            self.max_side,
            self.controls,
            self.model,
            self.precision,
            self.weights_dir,
            self.max_memory,
            self.gpu_memory_mb,
            self.style_dirs,
        )

    @property
    def dtype(self) -> str:
        """The old name of ``precision``."""
        return self.precision


DEFAULTS = Parameters(
    style=("flow_night",),
    style_weights=(),
    mask="",
    max_side=0,
    cameras=(),
    image_transport="raw",
    compressed_format="jpeg",
    jpeg_quality=80,
    always_subscribe=False,
    expected_rate=0.0,
    mask_tolerance=0.1,
    max_frame_megapixels=32.0,
    depth_range=None,
    style_dirs=[],
    output_dir="",
    frame_timeout=5.0,
    render_share="live_first",
    controls=Controls(),
    **{name: setting.default for name, setting in SETTINGS.items()},
)


def read(get_param: Callable[[str, Any], Any], warn: Callable[[str], Any] = lambda message: None) -> Parameters:
    """The node's `Parameters`.

    Args:
        get_param: ``(name, default)`` to the value of a parameter; a name is ``~`` and its own.
        warn: called with one sentence if a name is deprecated.

    Raises:
        OptionError: lists every parameter that has a wrong value, with what is allowed.
    """
    problems: List[str] = []
    values: Dict[str, Any] = {}

    def get(
        name: str, convert: Callable[[Any], Any], check: Callable[[Any], Any] = lambda value: None, default: Any = None
    ) -> None:
        given = _lookup(get_param, warn, name, getattr(DEFAULTS, name, default))
        try:
            values[name] = convert(given)
            check(values[name])
        except (StyleTransferError, TypeError, ValueError) as error:
            values.pop(name, None)
            problems.append("~%s: %s" % (name, error))

    get("model", _name, check_model)
    get("precision", _name, lambda value: check_model(values.get("model", DEFAULTS.model), value))
    for name in ("max_memory", "gpu_memory_mb"):
        get(name, _number, lambda value, name=name: check_value(SETTINGS[name], value))
    get("max_side", _number, check_max_side)
    get("cameras", _cameras)
    get("image_transport", _name, lambda value: check_choice("image_transport", value, TRANSPORTS))
    get("compressed_format", _name, lambda value: check_choice("compressed_format", value, FORMATS))
    get("jpeg_quality", _number, lambda value: check_integer("jpeg_quality", value, *RANGES["jpeg_quality"]))
    get("always_subscribe", _boolean)
    for name in ("expected_rate", "mask_tolerance", "max_frame_megapixels", "frame_timeout"):
        get(name, _number, lambda value, name=name: check_range(name, value, *RANGES[name]))
    get("depth_range", _depth_range)
    get("style_dirs", _folders, StyleLibrary)
    get("weights_dir", _path, lambda path: path and weights.manifest(path))
    get("output_dir", _path, _check_output_dir)
    get("render_share", _name, lambda value: check_choice("render_share", value, NICENESS))
    library = StyleLibrary(values["style_dirs"]) if "style_dirs" in values else None
    get(
        "style",
        lambda value: parse_names(value, library.paths() if library else ()),
        lambda names: _check_styles(names, library),
    )
    get("mask", str, lambda name: library and name not in ("", TOPIC) and library.read_mask(name))
    if "style" in values:
        get("style_weights", parse_numbers, lambda weights: check_weights(weights, len(values["style"])))
    model, controls = values.get("model", DEFAULTS.model), {}
    for control in CONTROLS.values():
        if "model" not in values and "level" in control.name:
            continue  # levels can only be checked for a known model
        get(
            control.name,
            lambda value, control=control: _undo_yaml(control, value),
            lambda value, name=control.name: check(controls_from({name: value}), model),
            default="",
        )
        if control.name in values:
            controls[control.name] = values.pop(control.name)
    try:
        values["controls"] = controls_from(controls)
        check(values["controls"], model)
    except OptionError as error:
        problems.append(str(error))
    if problems:
        raise OptionError("; ".join(problems))
    return Parameters(**dict(values, max_side=int(values["max_side"])))


def _lookup(get_param: Callable[[str, Any], Any], warn: Callable[[str], Any], name: str, default: Any) -> Any:
    """A parameter's value.  One that is set under an alias counts: launch files always set the current name, too."""
    for alias, current in ALIASES.items():
        if current.name == name:
            value = get_param("~" + alias, None)
            if value is not None:
                current_name(alias, warn, "~{}".format)
                return value
    return get_param("~" + name, default)


def _undo_yaml(control: Control, value: Any) -> Any:
    """A control's value before YAML, which rosrun's ``_name:=value`` goes through, converted it.

    YAML reads ``no`` as False and 5:0.2 as a number to the base of 60.  dynamic_reconfigure stores 0 for an
    integer that is the model's own, and a restarted node finds that on the parameter server.
    """
    if control.name == "level_strength" and _is_number(value) and 60 <= value < math.inf:
        return "%d:%g" % divmod(value, 60)
    if value is False and isinstance(control.allowed, tuple) and "no" in control.allowed:
        return "no"
    if control.default is None and control.type is int and _is_number(value) and value == 0:
        return ""
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise OptionError("must be a name, not %r" % (value,))
    return value


def _number(value: Any) -> float:
    if not _is_number(value):
        raise OptionError("must be a number, not %r" % (value,))
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise OptionError("must be true or false, not %r" % (value,))
    return value


def _path(value: Any) -> str:
    return os.path.expanduser(str(value))


def _cameras(value: Any) -> Tuple[str, ...]:
    """A list of names, or names joined by commas; empty: the topic ``image`` alone."""
    cameras = parse_names(value) if value else ()
    for name in cameras:
        if not re.match(r"^[A-Za-z][\w/]*$", name) or name.endswith("/"):
            raise OptionError("%r cannot be part of a topic's name; use letters, digits and _" % name)
    if len(set(cameras)) < len(cameras):
        raise OptionError("must name each camera once, not %s" % ",".join(cameras))
    return cameras


def parse_names(value: Any, known: Container[str] = ()) -> Tuple[str, ...]:
    """A list of names, or names joined by commas; ``known`` names may contain commas."""
    names = split_names(value, known) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(n, str) and n for n in names):
        raise OptionError("must be a name, or several joined by commas, not %r" % (value,))
    return tuple(names)


def parse_numbers(value: Any) -> Tuple[float, ...]:
    """A number, a list of numbers, or numbers joined by commas."""
    if _is_number(value):
        value = [value]
    try:
        if isinstance(value, str):
            return tuple(float(part) for part in value.split(",") if part.strip())
        return tuple(float(_number(part)) for part in value)
    except (OptionError, TypeError, ValueError):
        raise OptionError("must be numbers joined by commas, not %r" % (value,)) from None


def _folders(value: Any) -> List[str]:
    """A list of folders, or folders joined by ``:``."""
    if isinstance(value, str):
        value = [folder for folder in value.split(":") if folder]
    if not isinstance(value, list) or not all(isinstance(folder, str) for folder in value):
        raise OptionError("must be a list of folders, or folders joined by ':', not %r" % (value,))
    return value


def _check_styles(names: Sequence[str], library: Optional[StyleLibrary]) -> None:
    check_style_count(names)
    for name in names:
        if library is not None and name not in RESERVED_STYLES:
            library.read(name)


def _depth_range(value: Any) -> Optional[Tuple[float, float]]:
    """Two rising numbers, as a list or joined by a comma; empty or None: None."""
    numbers = parse_numbers(value or "")
    if not numbers:
        return None
    if len(numbers) != 2 or not -math.inf < numbers[0] < numbers[1] < math.inf:
        raise OptionError("must be two rising numbers joined by a comma, such as 0.5,5, or empty, not %r" % (value,))
    return numbers[0], numbers[1]


def _check_output_dir(folder: str) -> None:
    if folder and not os.path.isdir(folder):
        raise OptionError("%r is not a folder; create it first" % folder)


def check_max_side(value: float) -> None:
    """Raise `OptionError` unless ``value`` is allowed for ``~max_side``."""
    if not (value == 0 or 32 <= value <= 16384) or value != int(value):
        raise OptionError("must be 0 (the input's size) or a whole number from 32 to 16384, not %r" % (value,))


def prefixed(name: str, read: Callable[[Any], Any], value: Any) -> Any:
    """``read(value)``; its error message begins with ``name``."""
    try:
        return read(value)
    except OptionError as error:
        raise OptionError("%s %s" % (name, error)) from None
