"""The options of a render, for the command line and the node; checked without TensorFlow."""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple, cast

from ..controls import (
    CONTROLS,
    KEEP_COLOURS,
    check_choice,
    check_integer,
    check_range,
    current_name,
    parse_number,
)
from ..errors import OptionError
from ..models.registry import FLOATS
from ..models.shapes import ALL_CONVOLUTIONS, CONVOLUTIONS, VGG_WIDTHS, encoder_layers

NETWORKS = ("compact", "vgg16", "vgg19")
OPTIMIZERS = ("lbfgs", "adam")
STYLE_LOSSES = ("gram", "covariance", "w2")
POOLINGS = ("max", "average")
INITS = ("content", "noise", "style", "wct")


class RenderOptions(NamedTuple):
    """How to render; `objective` defines the losses.  Options that `controls.Controls` also has mean the same here."""

    network: str = "compact"
    content_weight: float = 0.037
    style_weight: float = 1.0
    tv_weight: float = 0.0
    tv_power: float = 1.0
    content_layers: Mapping[str, float] = {"block4_conv1": 1.0}
    # The first convolution of each block alone would leave the ones between to chance.
    style_layers: Mapping[str, float] = {
        "block1_conv1": 0.7,
        "block1_conv2": 0.3,
        "block2_conv1": 0.7,
        "block2_conv2": 0.3,
        "block3_conv1": 0.7,
        "block3_conv3": 0.3,
        "block4_conv1": 0.7,
        "block4_conv3": 0.3,
        "block5_conv1": 1.0,
    }
    style_loss: str = "w2"
    relative: bool = True
    pooling: str = "max"
    init: str = "content"
    optimizer: str = "lbfgs"
    iterations: int = 80
    scales: int = 3
    learning_rate: float = 0.02
    averaging: float = 0.99
    tolerance: float = 0.0
    time_budget: float = 0.0
    keep_colours: str = "no"
    style_scale: float = 1.0
    style_crop: float = 1.0
    feather: float = 4.0
    seed: int = 0
    precision: str = "auto"
    max_memory: float = 0.0


# The preset `seed` is the objective of Chollet's walkthrough of Gatys et al. 2015 at its 512x512 pixels, with its sums
# written as means, so that the weights are the same at every size.
_SIDE = 512
PRESETS: Dict[str, RenderOptions] = {
    "default": RenderOptions(),
    "seed": RenderOptions(
        network="vgg16",
        content_weight=0.02 * (_SIDE // 2) ** 2 * VGG_WIDTHS[1],
        content_layers={"block2_conv2": 1.0},
        style_weight=4.5 / 5,
        style_layers={
            "block%d_conv%d" % (block, conv): 1 / (4 * 3**2 * 16 ** (block - 1))
            for block, conv in ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3))
        },
        tv_weight=0.995 * (_SIDE - 1) ** 2 * 255**2.5,
        tv_power=1.25,
        style_loss="gram",
        relative=False,
        iterations=180,
        scales=1,
    ),
}


# Each option's type and help, for the command line and the service.
DESCRIPTIONS: Dict[str, Tuple[Callable[[str], Any], str]] = {
    "network": (str, "the loss network: compact (included), vgg16 or vgg19 (see `weights fetch`)"),
    "content_weight": (float, "weight of the content loss"),
    "style_weight": (float, "weight of the style loss"),
    "tv_weight": (float, "weight of the total variation; higher values are smoother"),
    "tv_power": (float, "exponent of the squared slopes in the total variation"),
    "content_layers": (str, "layers and their weights, such as block4_conv1:1,block3_conv1:0.5"),
    "style_layers": (str, "layers and their weights, such as block1_conv1:1,block2_conv1:1"),
    "style_loss": (str, "gram, covariance, or w2 (Wasserstein distance of normal distributions)"),
    "relative": (bool, "yes: losses are relative to the content's variance and to the norm of the style's statistics"),
    "pooling": (str, "max, or average (smoother)"),
    "init": (str, "initial picture: content, noise, style, wct (stylized by the model cascade), or a file"),
    "optimizer": (str, "lbfgs or adam"),
    "iterations": (int, "iterations at each size"),
    "scales": (int, "number of sizes, each half of the next, from coarse to fine"),
    "learning_rate": (float, "learning rate of Adam"),
    "averaging": (float, "Adam: fraction of the average of all iterates that remains after a step; 0: no averaging"),
    "tolerance": (
        float,
        "end a size when five iterations lower the loss by less than this fraction; 0: make all iterations",
    ),
    "time_budget": (
        float,
        "seconds for everything, start-up included; sizes and iterations that do not fit are left out; 0: no limit",
    ),
    **{
        name: (CONTROLS[name].type, CONTROLS[name].help)
        for name in ("keep_colours", "style_scale", "style_crop", "feather")
    },
    "seed": (int, "seed of the noise"),
    "precision": (
        str,
        "number type of the convolutions: float32, bfloat16, float16, or auto (the faster of the first two)",
    ),
    "max_memory": (float, "megabytes; larger pictures are evaluated in tiles; 0: most of the free memory"),
}
_RANGES: Dict[str, Tuple[float, float]] = {
    "content_weight": (0.0, 1e15),
    "style_weight": (0.0, 1e15),
    "tv_weight": (0.0, 1e15),
    "tv_power": (1.0, 2.0),
    "learning_rate": (1e-5, 1.0),
    "averaging": (0.0, 0.9999),
    "tolerance": (0.0, 1.0),
    "time_budget": (0.0, 86400.0),
    "max_memory": (0.0, 1e7),
    **{name: cast(Tuple[float, float], CONTROLS[name].allowed) for name in ("style_scale", "style_crop", "feather")},
}
_INTEGER_RANGES = {"iterations": (1, 100000), "scales": (1, 8), "seed": (0, 2**31 - 1)}
_CHOICES = {
    "network": NETWORKS,
    "style_loss": STYLE_LOSSES,
    "pooling": POOLINGS,
    "optimizer": OPTIMIZERS,
    "keep_colours": KEEP_COLOURS,
    "precision": (*FLOATS, "auto"),
}


def options_from(values: Mapping[str, Any], preset: str = "default") -> RenderOptions:
    """`RenderOptions` from texts and numbers by name; None and empty texts leave the preset's value.

    Raises:
        OptionError: a name or the preset is unknown, or a text cannot be parsed.  `check` checks the ranges.
    """
    check_choice("preset", preset, PRESETS)
    parsed = {}
    for given, value in values.items():
        name = current_name(given)
        if name not in DESCRIPTIONS:
            raise OptionError("unknown render option %r; choose from %s" % (given, ", ".join(DESCRIPTIONS)))
        if value is None or value == "":
            continue
        kind = DESCRIPTIONS[name][0]
        if name.endswith("_layers"):
            value = value if isinstance(value, Mapping) else parse_layers(name, value)
        elif isinstance(value, str) and kind is bool:
            check_choice(name, value.lower(), ("yes", "no", "true", "false"))
            value = value.lower() in ("yes", "true")
        elif isinstance(value, str) and kind is not str:
            value = parse_number(name, kind, value)
        parsed[name] = value
    return PRESETS[preset]._replace(**parsed)


def parse_layers(name: str, text: str) -> Dict[str, float]:
    """``"block1_conv1:1,block2_conv1:0.5"``, the value of the option ``name``, as ``{"block1_conv1": 1.0, ...}``.

    A layer without a weight has the weight 1.
    """
    try:
        pairs = [part.strip().partition(":") for part in str(text).split(",")]
        layers = {layer: float(weight) if weight or colon else 1.0 for layer, colon, weight in pairs}
        if len(layers) < len(pairs):
            raise ValueError("twice")
        return layers
    except ValueError:
        raise OptionError(
            "%s must be LAYER:WEIGHT joined by commas, each layer once, such as "
            "block1_conv1:1,block2_conv1:0.5, not %r" % (name, text)
        ) from None


def check(options: RenderOptions) -> None:
    """Raise `OptionError`, which names the first wrong option, its value, and what is allowed."""
    for name, allowed in _CHOICES.items():
        check_choice(name, getattr(options, name), allowed)
    for name, (low, high) in _RANGES.items():
        check_range(name, getattr(options, name), low, high)
    for name, (low, high) in _INTEGER_RANGES.items():
        check_integer(name, getattr(options, name), low, high)
    known = layers_of(options.network)
    for name in ("content_layers", "style_layers"):
        layers = getattr(options, name)
        if not layers:
            raise OptionError("%s must name at least one layer" % name)
        for layer, weight in layers.items():
            if layer not in known:
                raise OptionError(
                    "%s names %r; the network %s has %s" % (name, layer, options.network, ", ".join(known))
                )
            check_range("%s of %s" % (name, layer), weight, 0.0, 1e15)
    if not options.style_weight and not options.content_weight:
        raise OptionError("content_weight and style_weight are both 0: there is nothing to render")


def layers_of(network: str) -> List[str]:
    """The names of the layers of a loss network, in order."""
    if network == "compact":
        return [name for name, _, _ in encoder_layers("vgg16", VGG_WIDTHS, CONVOLUTIONS)]
    return [name for name, _, _ in encoder_layers(network, VGG_WIDTHS, ALL_CONVOLUTIONS)]
