"""The options that the node and the command line share, checked in one place, without TensorFlow."""
import math
import numbers
from typing import Mapping, NamedTuple, Optional, Tuple

from .errors import OptionError

FLOATS = ("float32", "bfloat16", "float16")
INTEGER_MODELS = ("live", "lite")  # those that there are in int8, too
DTYPES = (*FLOATS, "int8", "auto")  # auto: the fastest that is as good, by measuring
METHODS = ("wct", "ot", "adain", "whiten")
KEEP_COLOURS = ("no", "luminance", "coral")


class Model(NamedTuple):
    """What the options of a model may be.

    Attributes:
        levels: those that it has, coarse to fine, and all paint unless told otherwise.
        ordered: whether the levels paint one after the other, so that their order matters.
        method: what it was made for.
        swap_levels: where patches may be swapped; the first unless told otherwise.
    """

    levels: Tuple[int, ...]
    ordered: bool
    method: str
    swap_levels: Tuple[int, ...]


MODELS = {
    "cascade": Model((5, 4, 3, 2, 1), True, "wct", (5, 4)),
    "live": Model((2, 1, 0), False, "ot", (2, 1)),
    "lite": Model((2, 1, 0), False, "ot", (2, 1)),
}
# Of all models, coarse to fine; 0 is what a live model's decoder draws.
ALL_LEVELS = sorted({level for model in MODELS.values() for level in model.levels}, reverse=True)


class Controls(NamedTuple):
    """How to paint.

    Attributes:
        strength: the paper's alpha, 0 (nothing happens) to 1, at every level.
        level_strength: ``{level: factor}``, 0..1, times ``strength``; 1 where none is said, 0: level left out.
        levels: which levels paint, in this order; all of the model's when None.
        passes: how many times the picture goes through all of it.
        method: one of `METHODS`; the model's own when None.  See `wct`.
        swap: 0 (off) to 1, how far the whitened features' patches become the style's (style swap).
        swap_level: where; the model's deepest level when None.
        swap_patch: side of the patches, positions, odd.
        swap_stride: positions between the style's patches.
        keep_colours: ``luminance`` (only the painted lightness is taken), ``coral`` (the style is
            given the content's colour statistics first), or ``no``.
        style_scale: how large the style is seen, 1: as large as the content; smaller, finer strokes.
        style_crop: the share of the style's sides, about its middle, that is looked at, 0..1.
        feather: softness of a mask's edges, pixels.
        smoothing: 0 (off) to 1, how much of the frames before a video's frame keeps (`temporal`).
    """

    strength: float = 1.0
    level_strength: Mapping[int, float] = {}
    levels: Optional[Tuple[int, ...]] = None
    passes: int = 1
    method: Optional[str] = None
    swap: float = 0.0
    swap_level: Optional[int] = None
    swap_patch: int = 3
    swap_stride: int = 1
    keep_colours: str = "no"
    style_scale: float = 1.0
    style_crop: float = 1.0
    feather: float = 4.0
    smoothing: float = 0.0

    def resolved(self, model):
        """With the model's own levels, method and swap level in place of None, once `check`ed."""
        check(self, model)
        own = MODELS[model]
        return self._replace(levels=tuple(self.levels or own.levels), method=self.method or own.method,
                             swap_level=self.swap_level or own.swap_levels[0])


# Each control's type and what a user is told of it: the command line, the node and the README.
DESCRIPTIONS = {
    "strength": (float, "0 (nothing happens) to 1 (the full style)"),
    "level_strength": (str, "factors of single levels, such as 5:0.3,4:0.8; 1 where none is said, 0: level left out"),
    "levels": (str, "the levels that paint, such as 5,4,3; the model's own: all, coarse to fine"),
    "passes": (int, "how many times the picture goes through"),
    "method": (str, "wct, ot (optimal transport), adain, or whiten (the content without any style)"),
    "swap": (float, "0 (off) to 1: patches of the style in place of the content's (style swap)"),
    "swap_level": (int, "where patches are swapped (cascade: 5 or 4, live and lite: 2 or 1)"),
    "swap_patch": (int, "side of a patch, an odd number of positions"),
    "swap_stride": (int, "positions between the style's patches; larger is faster and coarser"),
    "keep_colours": (str, "no, luminance (take the painted lightness only), or coral (recolour the style first)"),
    "style_scale": (float, "how large the style is seen; below 1: finer strokes"),
    "style_crop": (float, "share of the style's sides, about its middle, that is looked at"),
    "feather": (float, "softness of a mask's edges, pixels"),
    "smoothing": (float, "0 (off) to 1: how much a video keeps of the frames before"),
}

RANGES = {
    "strength": (0.0, 1.0), "passes": (1, 16), "swap": (0.0, 1.0), "swap_patch": (1, 15), "swap_stride": (1, 64),
    "style_scale": (0.05, 4.0), "style_crop": (0.05, 1.0), "feather": (0.0, 1000.0), "smoothing": (0.0, 1.0),
}


def controls_from(values, base=Controls()):
    """`Controls` from texts and numbers by name; an empty text or None means the model's own.

    Args:
        values: ``{name: value}``, names from `DESCRIPTIONS`.
        base: what is not named stays as it is here.

    Raises:
        OptionError: an unknown name, or a text that does not parse.  Ranges are for `check`.
    """
    parsed = {}
    for name, value in values.items():
        if name not in DESCRIPTIONS:
            raise OptionError("unknown control %r; known: %s" % (name, ", ".join(DESCRIPTIONS)))
        kind = DESCRIPTIONS[name][0]
        if value is None or value == "":
            value = Controls._field_defaults[name]
        elif name == "levels":
            value = tuple(value) if isinstance(value, (list, tuple)) else parse_levels(value)
        elif name == "level_strength":
            value = value if isinstance(value, Mapping) else parse_level_strength(value)
        elif isinstance(value, str) and kind is not str:
            value = parse_number(name, kind, value)
        parsed[name] = value
    return base._replace(**parsed)


def describe(controls):
    """Those `Controls` that are not as they are by default, for people: ``strength 0.5, method ot``."""
    changed = [(name, value) for name, value in controls._asdict().items() if value != Controls._field_defaults[name]]
    shown = {"levels": lambda v: ",".join(map(str, v)),
             "level_strength": lambda v: ",".join("%d:%g" % pair for pair in sorted(v.items()))}
    return ", ".join("%s %s" % (name, shown.get(name, lambda v: "%g" % v if isinstance(v, float) else v)(value))
                     for name, value in changed)


def check_model(model, dtype="float32"):
    """Raise `OptionError` unless there are such a model and such a precision."""
    among("model", model, MODELS)
    among("dtype", dtype, DTYPES)
    if dtype == "int8" and model not in INTEGER_MODELS:
        raise OptionError("int8 is for live and lite: in the cascade's five rounds what rounding loses would add up; "
                          "choose another dtype")


def check(controls, model):
    """Raise `OptionError` naming the first of the `Controls` that is wrong, its value, and what is allowed."""
    own = MODELS[model]
    named = ",".join(map(str, own.levels))
    for name, (low, high) in RANGES.items():
        (within if DESCRIPTIONS[name][0] is float else whole)(name, getattr(controls, name), low, high)
    if controls.levels is not None:
        levels = controls.levels
        if (not isinstance(levels, (tuple, list)) or not levels
                or any(type(level) is not int or level not in own.levels for level in levels)
                or len(set(levels)) < len(levels)):
            raise OptionError("levels must be some of %s (model %s), each once, not %r" % (named, model, levels))
        if not own.ordered and tuple(levels) != tuple(sorted(levels, reverse=True)):
            raise OptionError("model %s paints all levels at once: name them in falling order, not %s"
                              % (model, ",".join(map(str, levels))))
    if not isinstance(controls.level_strength, Mapping):
        raise OptionError("level_strength must say LEVEL: STRENGTH, not %r" % (controls.level_strength,))
    for level, value in controls.level_strength.items():
        if type(level) is not int or level not in own.levels:
            raise OptionError("level_strength names level %r; model %s has %s" % (level, model, named))
        within("level_strength of level %d" % level, value, 0.0, 1.0)
    if controls.method is not None:
        among("method", controls.method, METHODS)
    among("keep_colours", controls.keep_colours, KEEP_COLOURS)
    if controls.swap_patch % 2 == 0:
        raise OptionError("swap_patch must be odd, so that a patch has a middle, not %d" % controls.swap_patch)
    if controls.swap_level is not None and (
            type(controls.swap_level) is not int or controls.swap_level not in own.swap_levels):
        raise OptionError("swap_level must be one of %s (model %s), not %r"
                          % (",".join(map(str, own.swap_levels)), model, controls.swap_level))
    if controls.swap:
        _check_swap(controls, model)


def _check_swap(controls, model):
    own = MODELS[model]
    level = controls.swap_level or own.swap_levels[0]
    if controls.levels is not None and level not in controls.levels:
        raise OptionError("swap works at level %d, which is not among the levels %s"
                          % (level, ",".join(map(str, controls.levels))))
    method = controls.method or own.method
    if controls.method is not None and method != "wct":
        raise OptionError("swap looks for patches among whitened features: it needs the method wct, not %s" % method)


def check_weights(weights, styles):
    """Raise `OptionError` unless ``weights`` are empty (equal shares) or one for each of so many ``styles``."""
    if weights and len(weights) != styles:
        raise OptionError("%d weights for %d styles; give one each" % (len(weights), styles))
    if weights and not (all(0 <= weight < math.inf for weight in weights) and any(weights)):
        raise OptionError("weights must not be negative, nor all 0, not %s" % ", ".join("%g" % w for w in weights))


def parse_number(name, kind, text):
    """``text`` as an ``int`` or a ``float``, which ``kind`` is."""
    try:
        return kind(text)
    except ValueError:
        raise OptionError("%s must be a %s, not %r"
                          % (name, "whole number" if kind is int else "number", text)) from None


def parse_levels(text):
    """``"5,4,3"`` as ``(5, 4, 3)``."""
    try:
        return tuple(int(level) for level in str(text).split(","))
    except ValueError:
        raise OptionError("levels must be numbers joined by commas, such as 4,3,2, not %r" % (text,)) from None


def parse_level_strength(text):
    """``"5:0.3,4:0.8"`` as ``{5: 0.3, 4: 0.8}``; an empty text says nothing."""
    try:
        pairs = [part.split(":") for part in str(text).split(",") if part]
        found = {int(level): float(value) for level, value in pairs}
        if len(found) < len(pairs):
            raise ValueError("twice")
        return found
    except ValueError:
        raise OptionError("level_strength must be LEVEL:STRENGTH joined by commas, each level once, such as "
                          "5:0.3,4:0.8, not %r" % (text,)) from None


def _number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def within(name, value, low, high):
    """Raise `OptionError` unless ``value`` is a number in this range."""
    if not _number(value) or not low <= value <= high:
        raise OptionError("%s must be a number from %g to %g, not %r" % (name, low, high, value))


def whole(name, value, low, high):
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not low <= value <= high:
        raise OptionError("%s must be a whole number from %d to %d, not %r" % (name, low, high, value))


def among(name, value, allowed):
    if not isinstance(value, str) or value not in allowed:
        raise OptionError("%s must be one of %s, not %r" % (name, ", ".join(allowed), value))
