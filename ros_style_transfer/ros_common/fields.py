"""The fields that may change while the node runs, and those that are fixed when it starts: names, types, ranges, help.

ROS 1 shows `FIELDS` in dynamic_reconfigure; ROS 2 declares all as parameters.

``cfg/StyleTransfer.cfg`` is generated from `FIELDS`, so this module must not import what that generates.
"""

from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from ..controls import CONTROLS, GROUPS, SETTINGS, Control, Controls, Range, controls_from
from ..models.registry import ALL_LEVELS

LEVEL_PREFIX = "level_strength_"  # of a field for each level, in place of the control level_strength


class Field(NamedTuple):
    """A field of dynamic_reconfigure, or a parameter of ROS 2.

    Attributes:
        name: of the field, and of the parameter.
        type: `bool`, `float`, `int` or `str`.
        default: of this type.
        group: the heading that it appears under.
        help: one line for users.
        range: (low, high) of a number; None: any.
        choices: the texts to choose from, where the empty one stands for the model's own; none: any text.
    """

    name: str
    type: type
    default: Any
    group: str
    help: str
    range: Any = None
    choices: Tuple[str, ...] = ()


# What may change while the node runs, besides the controls.
STREAM_FIELDS = (
    Field("style", str, "", "Style", "name of the style, or several joined by commas"),
    Field("style_weights", str, "", "Style", "weights of several styles in a mixture, joined by commas; empty: equal"),
    Field("fade", float, 0.0, "Style", "seconds of cross-fade from the old style to the new one", Range(0.0, 60.0)),
    Field("mask", str, "", "Style", "picture of labels in a style folder; empty: none"),
    Field(
        "max_side",
        int,
        0,
        "Painting",
        "longer side of the painted frames in pixels; 0: as the camera sends them",
        Range(0, 16384),
    ),
    Field("paused", bool, False, "Node", "pause: no frames are painted"),
)


def _fields_of(control: Control) -> List[Field]:
    if control.name == "level_strength":
        return [
            Field(
                LEVEL_PREFIX + str(level),
                float,
                1.0,
                control.group,
                "strength multiplier of level %d, if the model has it" % level,
                Range(0.0, 1.0),
            )
            for level in ALL_LEVELS
        ]
    low_high, choices = None, ()
    if isinstance(control.allowed, Range):
        low_high = control.allowed
    elif control.type is int:  # levels; 0 stands for the model's own
        low_high = Range(0, max(control.allowed or ()))
    elif control.allowed:
        choices = (("",) if control.default is None else ()) + tuple(map(str, control.allowed))
    return [
        Field(
            control.name, control.type, _shown(control, control.default), control.group, control.help, low_high, choices
        )
    ]


def _shown(control: Control, value: Any) -> Any:
    """A control's value in its field: 0 or the empty text for the model's own."""
    if value is None:
        return control.type()
    return ",".join(map(str, value)) if control.name == "levels" else value


FIELDS: Tuple[Field, ...] = tuple(
    sorted(
        (*STREAM_FIELDS, *(field for control in CONTROLS.values() if control.live for field in _fields_of(control))),
        key=lambda field: GROUPS.index(field.group) if field.group in GROUPS else len(GROUPS),
    )
)


def fields_of(controls: Controls) -> Dict[str, Any]:
    """`Controls` as values of their fields."""
    values = {name: _shown(CONTROLS[name], value) for name, value in controls._asdict().items()}
    strengths = values.pop("level_strength")
    for level in ALL_LEVELS:
        values[LEVEL_PREFIX + str(level)] = float(strengths.get(level, 1.0))
    return values


# What is fixed when the node starts.
STARTUP_FIELDS: Tuple[Field, ...] = (
    *(
        Field(
            setting.name,
            setting.type,
            setting.default,
            setting.group,
            setting.help,
            setting.allowed if isinstance(setting.allowed, Range) else None,
            setting.allowed if isinstance(setting.allowed, tuple) and not isinstance(setting.allowed, Range) else (),
        )
        for setting in SETTINGS.values()
    ),
    Field(
        "cameras",
        str,
        "",
        "Input",
        "names of several cameras, joined by commas: with front,rear front/image becomes ~/front/image",
    ),
    Field("image_transport", str, "raw", "Input", "transport of the subscribed images", choices=("raw", "compressed")),
    Field(
        "max_frame_megapixels",
        float,
        32.0,
        "Input",
        "larger frames are refused before they are decoded, in millions of pixels",
        Range(0.1, 1000.0),
    ),
    Field(
        "depth_range",
        str,
        "",
        "Input",
        "what becomes black and white in 16UC1 and 32FC1 images (depth, temperature), in their unit, such as 0.5,5; "
        "empty: each image's own range",
    ),
    Field(
        "mask_tolerance",
        float,
        0.1,
        "Input",
        "largest difference in seconds between the stamps of a frame and its mask, if the mask is a topic",
        Range(0.001, 10.0),
    ),
    Field("always_subscribe", bool, False, "Input", "stylize even if nothing subscribes to the output"),
    Field(
        "compressed_format",
        str,
        "jpeg",
        "Output",
        "format of the published compressed images",
        choices=("jpeg", "png"),
    ),
    Field("jpeg_quality", int, 80, "Output", "quality of published JPEG images", Range(1, 100)),
    Field(
        "expected_rate",
        float,
        0.0,
        "Output",
        "output rate in frames per second below which /diagnostics warns; 0: never",
        Range(0.0, 1000.0),
    ),
    Field("style_dirs", str, "", "Style", "folders with your own styles, joined by ':'"),
    Field("output_dir", str, "", "Output", "folder in which pictures are saved on request; empty: none"),
    Field(
        "frame_timeout",
        float,
        5.0,
        "Render",
        "seconds that a render waits for the camera's next frame",
        Range(0.1, 3600.0),
    ),
    Field(
        "render_share",
        str,
        "live_first",
        "Render",
        "priority of renders over the cores: live_first (the stream comes first) or equal",
        choices=("live_first", "equal"),
    ),
)
RANGES = {field.name: field.range for field in STARTUP_FIELDS if field.range is not None}


def controls_of(fields: Mapping[str, Any], controls: Controls) -> Controls:
    """``controls`` with the changes in ``fields``, which may be any of `FIELDS`.

    Raises:
        OptionError: a text cannot be parsed.  Ranges are for `controls.check`.
    """
    strengths, values = dict(controls.level_strength), {}
    for name, value in fields.items():
        if name.startswith(LEVEL_PREFIX):
            strengths[int(name[len(LEVEL_PREFIX) :])] = value
        elif name in CONTROLS:
            own = CONTROLS[name].default is None and value == CONTROLS[name].type()
            values[name] = None if own else value
    values["level_strength"] = {level: value for level, value in strengths.items() if value != 1.0}
    return controls_from(values, controls)
