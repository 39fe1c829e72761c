"""The node's private parameters, read once and checked, every wrong one named."""
import math
import os
import re
from typing import List, NamedTuple, Tuple

import rospy

from ..controls import DESCRIPTIONS, Controls, among, check, check_model, check_weights, controls_from, whole, within
from ..errors import OptionError, StyleTransferError
from ..media import images
from ..media.style_library import StyleLibrary
from ..models import weights
from ..render.queue import NICENESS
from ..streaming.appearance import RESERVED_STYLES, TOPIC
from .camera_stream import TRANSPORTS
from .conversions import FORMATS


class Parameters(NamedTuple):
    """What the node was configured with.  The README's table says what each is for."""

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
    model: str
    dtype: str
    max_memory: float
    gpu_memory_mb: int
    style_dirs: List[str]
    weights_dir: str
    output_dir: str
    frame_timeout: float
    render_share: str
    controls: Controls


DEFAULTS = Parameters(
    style=("flow_night",), style_weights=(), mask="", max_side=0, cameras=(), image_transport="raw",
    compressed_format="jpeg", jpeg_quality=80, always_subscribe=False, expected_rate=0.0, mask_tolerance=0.1,
    model="live", dtype="auto", max_memory=0.0, gpu_memory_mb=0,
    style_dirs=[], weights_dir="", output_dir="", frame_timeout=5.0, render_share="live_first", controls=Controls())


def read():
    """The node's `Parameters`.

    Raises:
        OptionError: lists every parameter that has a wrong value, with what is allowed.
    """
    problems, values = [], {}

    def get(name, convert, check=lambda value: None, default=None):
        given = rospy.get_param("~" + name, getattr(DEFAULTS, name, default))
        try:
            values[name] = convert(given)
            check(values[name])
        except (StyleTransferError, TypeError, ValueError) as error:
            values.pop(name, None)
            problems.append("~%s: %s" % (name, error))

    get("model", _string, check_model)
    get("dtype", _string, lambda value: check_model(values.get("model", DEFAULTS.model), value))
    get("max_memory", _number, lambda value: within("max_memory", value, 0, 1e7))
    get("gpu_memory_mb", _number, lambda value: whole("gpu_memory_mb", value, 0, 10**7))
    get("max_side", _number, check_max_side)
    get("cameras", _cameras)
    get("image_transport", _string, lambda value: among("image_transport", value, TRANSPORTS))
    get("compressed_format", _string, lambda value: among("compressed_format", value, FORMATS))
    get("jpeg_quality", _number, lambda value: whole("jpeg_quality", value, 1, 100))
    get("always_subscribe", _truth)
    get("expected_rate", _number, lambda value: within("expected_rate", value, 0.0, 1000.0))
    get("mask_tolerance", _number, lambda value: within("mask_tolerance", value, 0.001, 10.0))
    get("style_dirs", _folders, StyleLibrary)
    get("weights_dir", str, lambda path: path and weights.manifest(path))
    get("output_dir", str, _check_output_dir)
    get("frame_timeout", _number, lambda value: within("frame_timeout", value, 0.1, 3600.0))
    get("render_share", _string, lambda value: among("render_share", value, NICENESS))
    library = StyleLibrary(values["style_dirs"]) if "style_dirs" in values else None
    get("style", names, lambda given: library and [library.read(name) for name in given if name not in RESERVED_STYLES])
    get("mask", str, lambda name: library and name not in ("", TOPIC) and images.read_mask(library.find(name)))
    if "style" in values:
        get("style_weights", numbers, lambda weights: check_weights(weights, len(values["style"])))
    model, controls = values.get("model", DEFAULTS.model), {}
    for name in DESCRIPTIONS:
        if "model" not in values and "level" in name:
            continue  # levels are a model's own
        get(name, _UNLIKE_YAML.get(name, lambda value: value),
            lambda value, name=name: check(controls_from({name: value}), model), default="")
        if name in values:
            controls[name] = values.pop(name)
    try:
        values["controls"] = controls_from(controls)
        check(values["controls"], model)
    except OptionError as error:
        problems.append(str(error))
    if problems:
        raise OptionError("; ".join(problems))
    return Parameters(**dict(values, max_side=int(values["max_side"])))


def _string(value):
    if not isinstance(value, str) or not value:
        raise OptionError("must be a name, not %r" % (value,))
    return value


def _number(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise OptionError("must be a number, not %r" % (value,))
    return value


def _truth(value):
    if not isinstance(value, bool):
        raise OptionError("must be true or false, not %r" % (value,))
    return value


def _cameras(value):
    """A list of names, or one text with names joined by commas; none: the topic ``image`` alone."""
    given = names(value) if value else ()
    for name in given:
        if not re.match(r"^[A-Za-z][\w/]*$", name) or name.endswith("/"):
            raise OptionError("%r is no name for a topic; use letters, digits and _" % name)
    if len(set(given)) < len(given):
        raise OptionError("must name each camera once, not %s" % ",".join(given))
    return given


def names(value):
    """A list of names, or one text with names joined by commas."""
    given = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not given or not all(isinstance(n, str) and n for n in given):
        raise OptionError("must be a name, or several joined by commas, not %r" % (value,))
    return tuple(given)


def numbers(value):
    """A list of numbers, or one text with numbers joined by commas."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = [value]
    try:
        if isinstance(value, str):
            return tuple(float(part) for part in value.split(",") if part.strip())
        return tuple(float(_number(part)) for part in value)
    except (OptionError, TypeError, ValueError):
        raise OptionError("must be numbers joined by commas, not %r" % (value,)) from None


def _level_strength(value):
    """YAML, and with it rosrun's ``_name:=value``, reads 5:0.2 as a number to the base of 60."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 60 <= value < math.inf:
        return "%d:%g" % divmod(value, 60)
    return value


# What YAML makes of a text, back into that text; it also reads `no` as False.  And what dynamic_reconfigure
# leaves on the parameter server, where a node that is started again finds it: 0 for the model's own swap level.
_UNLIKE_YAML = {"level_strength": _level_strength, "keep_colours": lambda value: "no" if value is False else value,
                "swap_level": lambda value: "" if value == 0 else value}


def _folders(value):
    """A list, or one string with the folders separated by ``:`` as roslaunch arguments give it."""
    if isinstance(value, str):
        value = [folder for folder in value.split(":") if folder]
    if not isinstance(value, list) or not all(isinstance(folder, str) for folder in value):
        raise OptionError("must be a list of folders or a string of folders joined by ':', not %r" % (value,))
    return value


def _check_output_dir(folder):
    if folder and not os.path.isdir(os.path.expanduser(folder)):
        raise OptionError("%r is no folder; make it first" % folder)


def check_max_side(value):
    if not (value == 0 or 32 <= value <= 16384) or value != int(value):
        raise OptionError("must be 0 (the input's size) or a whole number from 32 to 16384, not %r" % (value,))


def named(name, read, value):
    """``read(value)``; what it refuses is named."""
    try:
        return read(value)
    except OptionError as error:
        raise OptionError("%s %s" % (name, error)) from None
