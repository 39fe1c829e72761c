"""The node's private parameters, read once and checked, every wrong one named."""
from typing import List, NamedTuple, Tuple

import rospy

from ..architecture import LEVELS
from ..errors import OptionError, StyleTransferError
from ..options import DTYPES, MODELS, check_options, parse_levels
from ..style_library import StyleLibrary


class Parameters(NamedTuple):
    """What the node was configured with.  The README's table says what each is for."""

    style: str
    strength: float
    levels: Tuple[int, ...]
    max_side: int
    model: str
    dtype: str
    style_dirs: List[str]


DEFAULTS = Parameters(
    style="flow_night", strength=1.0, levels=LEVELS, max_side=0, model=MODELS[0], dtype=DTYPES[0],
    style_dirs=[])


def read():
    """The node's `Parameters`.

    Raises:
        OptionError: lists every parameter that has a wrong value, with what is allowed.
    """
    problems, values = [], {}

    def get(name, convert, check):
        given = rospy.get_param("~" + name, getattr(DEFAULTS, name))
        try:
            values[name] = convert(given)
            check(values[name])
        except (StyleTransferError, TypeError, ValueError) as error:
            values.pop(name, None)
            problems.append("~%s: %s" % (name, error))

    get("style", _string, lambda value: None)
    get("strength", _number, lambda value: check_options(strength=value))
    get("levels", _levels, lambda value: check_options(levels=value))
    get("max_side", _number, _check_max_side)
    get("model", _string, lambda value: check_options(model=value))
    get("dtype", _string, lambda value: check_options(dtype=value))
    get("style_dirs", _folders, StyleLibrary)
    if "style" in values and "style_dirs" in values:
        get("style", _string, StyleLibrary(values["style_dirs"]).read)
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


def _levels(value):
    # roslaunch turns "5" into an integer; YAML may bring a list.
    return tuple(value) if isinstance(value, (list, tuple)) else parse_levels(value)


def _folders(value):
    """A list, or one string with the folders separated by ``:`` as roslaunch arguments give it."""
    if isinstance(value, str):
        value = [folder for folder in value.split(":") if folder]
    if not isinstance(value, list) or not all(isinstance(folder, str) for folder in value):
        raise OptionError("must be a list of folders or a string of folders joined by ':', not %r" % (value,))
    return value


def _check_max_side(value):
    if not (value == 0 or 32 <= value <= 16384) or value != int(value):
        raise OptionError("must be 0 (the input's size) or a whole number from 32 to 16384, not %r" % (value,))
