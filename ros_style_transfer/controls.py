"""The controls: one table that everything else is made from, and the checks of their values.

A control is what a user may change about how pictures are stylized.  Each is one field of `Controls`, and
that field is its only definition: the node's parameter, the command line's option, dynamic_reconfigure's
field, the panel's row and the documentation's table are derived from it.  Adding a control touches

1. its field in `Controls`,
2. its effect, usually in `stylizer`,
3. its argument and its parameter in ``launch/stylize.launch``.

`SETTINGS` are the options that are fixed when a model is loaded.  Nothing here needs TensorFlow.
"""

import dataclasses
import math
import numbers
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from .errors import OptionError
from .models.registry import ALL_SWAP_LEVELS, DEFAULT_MODEL, INT8_MODELS, MODELS, PRECISIONS

METHODS = ("wct", "ot", "adain", "whiten")
KEEP_COLOURS = ("no", "luminance", "coral")
GROUPS = ("Painting", "Levels", "Style", "Swap", "Model")


class Range(NamedTuple):
    """The numbers from ``low`` to ``high``; both are allowed."""

    low: float
    high: float


class Control(NamedTuple):
    """A row of the table.

    Attributes:
        name: of the Python attribute and the parameter; with dashes, of the command line's option.
        type: of a value: `float`, `int` or `str`.
        default: None stands for the model's own value.
        allowed: the `Range` of a number, or the choices; None: `check` has a rule for this control.
        group: the heading that it appears under, one of `GROUPS`.
        help: one line for users.
        live: whether it may change from frame to frame; if not, it is fixed when the model is loaded.
        stream_only: whether it has an effect on live streams alone: the command line and bags do not offer it.
    """

    name: str
    type: Callable[[Any], Any]
    default: Any
    allowed: Union[Range, Tuple[str, ...], Tuple[int, ...], None]
    group: str
    help: str
    live: bool = True
    stream_only: bool = False


def _control(
    type: Callable[[Any], Any], default: Any, allowed: Any, group: str, help: str, stream_only: bool = False
) -> Any:
    """A field of `Controls` and its row in the table."""
    row = {"row": (type, default, allowed, group, help, True, stream_only)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=row)
    return dataclasses.field(default=default, metadata=row)


@dataclasses.dataclass(frozen=True)
class Controls:
    """How to stylize.  Immutable; `_replace` returns a changed copy, as that of a named tuple does.

    The help texts say what each control does.  In addition:

    * ``level_strength`` is ``{level: factor}``.
    * ``levels`` is a tuple, coarse to fine; a sequential model, see `registry.ModelSpec`, allows any order.
    * None stands for the model's own value; `resolved` fills it in.
    """

    strength: float = _control(
        float, 1.0, Range(0.0, 1.0), "Painting", "0 leaves the picture unchanged, 1 applies the full style"
    )
    level_strength: Mapping[int, float] = _control(
        str,
        {},
        None,
        "Levels",
        "strength multipliers of single levels, such as 5:0.3,4:0.8; other levels use 1, and 0 disables a level",
    )
    levels: Optional[Tuple[int, ...]] = _control(
        str, None, None, "Levels", "levels to stylize, coarse to fine, such as 5,4,3"
    )
    passes: int = _control(int, 1, Range(1, 16), "Painting", "number of times that the picture goes through the model")
    method: Optional[str] = _control(
        str,
        None,
        METHODS,
        "Painting",
        "transform: wct, ot (optimal transport), adain, or whiten (the content without any style)",
    )
    swap: float = _control(
        float,
        0.0,
        Range(0.0, 1.0),
        "Swap",
        "style swap: 0 (off) to 1 replaces patches of the content by similar patches of the style",
    )
    swap_level: Optional[int] = _control(int, None, ALL_SWAP_LEVELS, "Swap", "level at which patches are swapped")
    swap_patch: int = _control(
        int, 3, Range(1, 15), "Swap", "side length of a patch in feature positions, an odd number"
    )
    swap_stride: int = _control(
        int, 1, Range(1, 64), "Swap", "distance between the style's patches; larger values are faster and coarser"
    )
    keep_colours: str = _control(
        str,
        "no",
        KEEP_COLOURS,
        "Painting",
        "no, luminance (keep the content's colours and take only the painted lightness), or coral (recolour the "
        "style like the content first)",
    )
    saturation: float = _control(
        float,
        1.0,
        Range(0.0, 2.0),
        "Painting",
        "colour intensity of the painted picture: 0 is grey, 1 as painted, 2 twice as colourful",
    )
    style_scale: float = _control(
        float,
        1.0,
        Range(0.05, 4.0),
        "Style",
        "size of the style relative to the content; smaller values give finer strokes",
    )
    style_crop: float = _control(
        float, 1.0, Range(0.05, 1.0), "Style", "fraction of the style's width and height to use, around its centre"
    )
    feather: float = _control(
        float, 4.0, Range(0.0, 1000.0), "Style", "width of the soft edge of a mask's regions, in pixels"
    )
    smoothing: float = _control(
        float,
        0.0,
        Range(0.0, 1.0),
        "Painting",
        "temporal smoothing of videos: 0 (off) to 1; higher values flicker less and soften detail",
    )
    skip_still: float = _control(
        float,
        0.0,
        Range(0.0, 1.0),
        "Painting",
        "live streams: a frame whose mean change from the last painted one is smaller than this (0 to 1) is not "
        "painted; the last painting is published again with its header. 0: off",
        stream_only=True,
    )

    def resolved(self, model: str) -> "Controls":
        """A checked copy with the model's own values in place of None.

        Raises:
            OptionError: see `check`.
        """
        check(self, model)
        spec = MODELS[model]
        return self._replace(
            levels=tuple(self.levels or spec.levels),
            method=self.method or spec.method,
            swap_level=self.swap_level or spec.swap_levels[0],
            level_strength=dict(self.level_strength),
        )

    def _replace(self, **changes: Any) -> "Controls":
        return dataclasses.replace(self, **changes)

    def _asdict(self) -> Dict[str, Any]:
        return {name: getattr(self, name) for name in CONTROLS}


CONTROLS: Dict[str, Control] = {
    field.name: Control(field.name, *field.metadata["row"]) for field in dataclasses.fields(Controls)
}

SETTINGS: Dict[str, Control] = {
    setting.name: setting
    for setting in (
        Control(
            "model",
            str,
            DEFAULT_MODEL,
            tuple(MODELS),
            "Model",
            "name of the network, see weights/README.md",
            live=False,
        ),
        Control(
            "precision",
            str,
            "auto",
            PRECISIONS,
            "Model",
            "number format of the convolutions: float32, bfloat16, float16, int8 (not every model), or auto, which "
            "benchmarks this machine at the start and takes the fastest of equal quality",
            live=False,
        ),
        Control(
            "weights_dir",
            str,
            "",
            None,
            "Model",
            "folder with weights that you have trained; empty: the shipped ones",
            live=False,
        ),
        Control(
            "max_memory",
            float,
            0.0,
            Range(0.0, 1e7),
            "Model",
            "megabytes that the process may use; larger pictures are processed in tiles; 0: all free memory",
            live=False,
        ),
        Control(
            "gpu_memory_mb",
            int,
            0,
            Range(0, 10**7),
            "Model",
            "megabytes of GPU memory that TensorFlow may use; 0: as much as it needs",
            live=False,
        ),
    )
}


# --- other names -----------------------------------------------------------------------------------


class Alias(NamedTuple):
    """Another name that is accepted for ``name``; the use of a deprecated one is worth a notice."""

    name: str
    deprecated: bool = True


ALIASES = {
    "dtype": Alias("precision"),
    "weights": Alias("style_weights"),
    "keep_colors": Alias("keep_colours", deprecated=False),
}


def current_name(name: str, notify: Optional[Callable[[str], Any]] = None, spell: Callable[[str], str] = str) -> str:
    """The name in use for ``name``, which may be an alias.

    Args:
        notify: called with one sentence if the name is deprecated.
        spell: returns a name as users write it in this place, such as ``--max-memory`` for ``max_memory``.
    """
    alias = ALIASES.get(name)
    if alias is None:
        return name
    if alias.deprecated and notify is not None:
        notify("%s is deprecated; use %s" % (spell(name), spell(alias.name)))
    return alias.name


# --- values from text ------------------------------------------------------------------------------


def controls_from(values: Mapping[str, Any], base: Controls = Controls()) -> Controls:
    """`Controls` from texts and numbers by name; None and the empty text stand for the default.

    Args:
        values: ``{name: value}``, names from `CONTROLS` or aliases of them.
        base: the values of all other controls.

    Raises:
        OptionError: a name is unknown or given twice, or a text cannot be parsed.  Ranges are for `check`.
    """
    parsed: Dict[str, Any] = {}
    for given, value in values.items():
        name = current_name(given)
        if name not in CONTROLS:
            raise OptionError("unknown control %.100r; known: %s" % (given, ", ".join(CONTROLS)))
        if name in parsed:
            raise OptionError("%s is given twice, once under another name" % name)
        parsed[name] = parse_value(CONTROLS[name], value)
    return base._replace(**parsed)


def parse_value(control: Control, value: Any) -> Any:
    """A control's value from a text, or from a value of its type; None and the empty text stand for the default."""
    if value is None or (isinstance(value, str) and not value):
        return {} if control.default == {} else control.default
    if control.name == "levels":
        return tuple(value) if isinstance(value, (list, tuple)) else parse_levels(value)
    if control.name == "level_strength":
        return value if isinstance(value, Mapping) else parse_level_strength(value)
    if isinstance(value, str) and control.type is not str:
        return parse_number(control.name, control.type, value)
    return value


def parse_number(name: str, type: Callable[[str], Any], text: str) -> Any:
    """``text`` as a number of this ``type``, `int` or `float`."""
    try:
        return type(text)
    except ValueError:
        raise OptionError(
            "%s must be a %s, not %r" % (name, "whole number" if type is int else "number", text)
        ) from None


def parse_levels(text: Any) -> Tuple[int, ...]:
    """``"5,4,3"`` as ``(5, 4, 3)``."""
    try:
        return tuple(int(level) for level in str(text).split(","))
    except ValueError:
        raise OptionError("levels must be numbers joined by commas, such as 4,3,2, not %r" % (text,)) from None


def parse_level_strength(text: Any) -> Dict[int, float]:
    """``"5:0.3,4:0.8"`` as ``{5: 0.3, 4: 0.8}``; the empty text as ``{}``."""
    try:
        pairs = [part.split(":") for part in str(text).split(",") if part]
        factors = {int(level): float(value) for level, value in pairs}
        if len(factors) < len(pairs):
            raise ValueError("a level is given twice")
        return factors
    except ValueError:
        raise OptionError(
            "level_strength must be LEVEL:STRENGTH joined by commas, each level once, such as "
            "5:0.3,4:0.8, not %r" % (text,)
        ) from None


# --- values as text --------------------------------------------------------------------------------


def describe(controls: Controls) -> str:
    """The `Controls` that differ from their defaults, for people: ``strength 0.5, method ot``."""
    return ", ".join(
        "%s %s" % (name, format_value(value))
        for name, value in controls._asdict().items()
        if value != CONTROLS[name].default
    )


def format_value(value: Any) -> str:
    """A control's value as a user would write it."""
    if isinstance(value, Mapping):
        return ",".join("%d:%g" % pair for pair in sorted(value.items()))
    if isinstance(value, (tuple, list)):
        return ",".join(map(str, value))
    return "%g" % value if isinstance(value, float) else str(value)


def describe_default(control: Control) -> str:
    """A control's default for people."""
    if control.default is None:
        return "the model's own"
    return "none" if control.default in ({}, "") else str(control.default)


def markdown_table() -> str:
    """The documentation's table of controls, in Markdown."""
    rows = ["| control | default | meaning |", "|---|---|---|"]
    for control in CONTROLS.values():
        default = describe_default(control)
        shown = default if control.default in (None, {}, "") else "`%s`" % default
        rows.append("| `~%s` | %s | %s |" % (control.name, shown, control.help))
    return "\n".join(rows)


def in_groups(controls: Sequence[Control]) -> Iterator[Tuple[str, Sequence[Control]]]:
    """``controls`` by their groups, in the order of `GROUPS`: (group, its controls) for each that has any."""
    for group in GROUPS:
        members = [control for control in controls if control.group == group]
        if members:
            yield group, members


# --- checks ----------------------------------------------------------------------------------------


def check_model(model: Any, precision: Any = "float32") -> None:
    """Raise `OptionError` unless the model exists and can compute in this precision."""
    check_choice("model", model, MODELS)
    check_choice("precision", precision, PRECISIONS)
    if precision != "auto" and precision not in MODELS[model].precisions:
        raise OptionError(
            "precision %s is available for %s only; model %s computes in %s"
            % (precision, " and ".join(INT8_MODELS), model, ", ".join(MODELS[model].precisions))
        )


def check(controls: Controls, model: str) -> None:
    """Raise `OptionError` for the first of the `Controls` that is wrong: its name, its value, and what is allowed."""
    for control in CONTROLS.values():
        value = getattr(controls, control.name)
        if isinstance(control.allowed, Range) or (control.type is str and control.allowed and value is not None):
            check_value(control, value)
    _check_levels(controls, model)
    if controls.swap_patch % 2 == 0:
        raise OptionError("swap_patch must be odd, so that a patch has a middle, not %d" % controls.swap_patch)
    _check_swap(controls, model)


def check_value(control: Control, value: Any) -> None:
    """Raise `OptionError` unless ``value`` is one that the control's row allows."""
    if not isinstance(control.allowed, Range):
        check_choice(control.name, value, control.allowed)
    elif control.type is float:
        check_range(control.name, value, *control.allowed)
    else:
        check_integer(control.name, value, *control.allowed)


def _check_levels(controls: Controls, model: str) -> None:
    spec, levels = MODELS[model], controls.levels
    known = format_value(spec.levels)
    if levels is not None:
        if (
            not isinstance(levels, (tuple, list))
            or not levels
            or any(type(level) is not int or level not in spec.levels for level in levels)
            or len(set(levels)) < len(levels)
        ):
            raise OptionError("levels must be some of %s (model %s), each once, not %r" % (known, model, levels))
        if not spec.sequential and tuple(levels) != tuple(sorted(levels, reverse=True)):
            raise OptionError(
                "model %s stylizes all levels in a single pass: list them in descending order, not %s"
                % (model, format_value(levels))
            )
    if not isinstance(controls.level_strength, Mapping):
        raise OptionError("level_strength must map levels to factors, not %r" % (controls.level_strength,))
    for level, value in controls.level_strength.items():
        if type(level) is not int or level not in spec.levels:
            raise OptionError("level_strength names level %r; model %s has %s" % (level, model, known))
        check_range("level_strength of level %d" % level, value, 0.0, 1.0)


def _check_swap(controls: Controls, model: str) -> None:
    spec, level = MODELS[model], controls.swap_level
    if level is not None and (type(level) is not int or level not in spec.swap_levels):
        raise OptionError(
            "swap_level must be one of %s (model %s), not %r" % (format_value(spec.swap_levels), model, level)
        )
    if not controls.swap:
        return
    level = level or spec.swap_levels[0]
    if controls.levels is not None and level not in controls.levels:
        raise OptionError(
            "swap works at level %d, which is not among the levels %s" % (level, format_value(controls.levels))
        )
    if controls.method not in (None, "wct"):
        raise OptionError("swap compares whitened patches, so it needs the method wct, not %s" % controls.method)


def check_styles(count: int, weights: Sequence[float] = (), masked: bool = False, method: Optional[str] = None) -> None:
    """Raise `OptionError` unless styles, their weights, a mask and the method go together.

    Args:
        count: the number of styles.
        weights: of the styles in their mixture; empty: equal.
        masked: whether there is a mask.
        method: the transform, one of `METHODS`; None: the model's own.
    """
    check_weights(weights, count)
    if masked and method == "whiten":
        raise OptionError("a mask has no effect with method whiten, which uses no style")
    if masked and len(weights):
        raise OptionError(
            "style weights mix the styles, but a mask gives each style its own region; use either weights or a mask"
        )


def check_weights(weights: Sequence[float], styles: int) -> None:
    """Raise `OptionError` unless ``weights`` are empty (equal) or one for each of so many ``styles``."""
    if len(weights):
        normalize_weights(weights, styles)


def normalize_weights(weights: Any, styles: int) -> List[float]:
    """The ``weights`` of so many ``styles``, scaled to the sum 1.

    Raises:
        OptionError: there is not one for each style, or they are not numbers, negative, or all 0.
    """
    shown = " ".join(str(weights).split())
    try:
        values = [float(weight) for weight in weights]
    except (TypeError, ValueError):
        raise OptionError("weights must be numbers, one for each of the %d styles, not %s" % (styles, shown)) from None
    if len(values) != styles:
        raise OptionError("%d weights for %d styles; give one each, not %s" % (len(values), styles, shown))
    total = sum(values)
    if not all(0 <= value < math.inf for value in values) or not 0 < total < math.inf:
        raise OptionError("weights must not be negative, nor all 0, not %s" % shown)
    return [value / total for value in values]


def check_range(name: str, value: Any, low: float, high: float) -> None:
    """Raise `OptionError` unless ``value`` is a number from ``low`` to ``high``."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not low <= value <= high:
        raise OptionError("%s must be a number from %g to %g, not %r" % (name, low, high, value))


def check_integer(name: str, value: Any, low: float, high: float) -> None:
    """Raise `OptionError` unless ``value`` is a whole number from ``low`` to ``high``."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or not low <= value <= high:
        raise OptionError("%s must be a whole number from %d to %d, not %r" % (name, low, high, value))


def check_choice(name: str, value: Any, allowed: Any) -> None:
    """Raise `OptionError` unless ``value`` is one of the texts ``allowed``."""
    if not isinstance(value, str) or value not in allowed:
        raise OptionError("%s must be one of %s, not %r" % (name, ", ".join(allowed), value))
