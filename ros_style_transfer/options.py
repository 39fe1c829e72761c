"""The options that the node and the command line share, checked in one place, without TensorFlow."""
import numbers

from .architecture import LEVELS
from .errors import OptionError

MODELS = ("cascade",)
DTYPES = ("float32", "bfloat16", "float16")


def check_options(model="cascade", levels=LEVELS, dtype="float32", strength=1.0):
    """Raise `OptionError` naming the first option that is wrong, its value, and what is allowed."""
    if model not in MODELS:
        raise OptionError("model must be one of %s, not %r" % (", ".join(MODELS), model))
    if dtype not in DTYPES:
        raise OptionError("dtype must be one of %s, not %r" % (", ".join(DTYPES), dtype))
    if (not isinstance(levels, (tuple, list)) or not levels or len(set(levels)) < len(levels)
            or any(type(level) is not int or level not in LEVELS for level in levels)):
        raise OptionError("levels must be some of 5,4,3,2,1, each once, not %r" % (levels,))
    if isinstance(strength, bool) or not isinstance(strength, numbers.Real) or not 0.0 <= strength <= 1.0:
        raise OptionError("strength must be a number from 0 to 1, not %r" % (strength,))


def parse_levels(text):
    """``"5,4,3"`` as ``(5, 4, 3)``."""
    try:
        return tuple(int(level) for level in str(text).split(","))
    except ValueError:
        raise OptionError("levels must be some of 5,4,3,2,1, each once, not %r" % (text,)) from None
