"""The models: one `ModelSpec` for each name.  Importing this module needs neither TensorFlow nor NumPy.

Adding a model touches four places:

1. `MODELS` below,
2. the network's own file in this folder, which fulfils `network.Network`,
3. its training in ``training/``,
4. its weights, with their entry in ``weights/manifest.json``.

Everything else reads this table: options, parameters, the panel, precisions, tiling and the benchmark.

Two orders hold everywhere.  `MODELS` lists the default first.  ``levels`` run from coarse to fine in
everything that a user reads or writes; a network may store them in any order.
"""

from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from .network import Network

FLOATS = ("float32", "bfloat16", "float16")
PRECISIONS = (*FLOATS, "int8", "auto")


class Int8(NamedTuple):
    """What is known of a model in 8-bit integers.

    Attributes:
        min_speedup: how many times faster than floats a single convolution must be for the whole model to
            be faster; below it, ``auto`` chooses floats.
        bytes_per_pixel: memory that LiteRT takes for each pixel of a picture.
    """

    min_speedup: float
    bytes_per_pixel: int = 430


class ModelSpec(NamedTuple):
    """Everything that the rest of the package knows of a model.

    Attributes:
        levels: the levels that it can stylize, coarse to fine; all of them by default.
        sequential: whether the levels run one after another, each with a network of its own, so that a user
            may choose their order; otherwise one network stylizes them in a single pass.
        method: the default transform, one of `controls.METHODS`.
        swap_levels: the levels at which patches can be swapped; the first is the default.
        bytes_per_pixel: memory for each pixel of a picture in float32: the increase of the resident set,
            measured at 4 megapixels.
        build: ``(arrays, facts, dtype, quantized)`` to the network: the weights as `weights.load` returns
            them, the model's entry in the manifest, the ``tf.DType`` of its convolutions, and whether they
            compute in 8-bit integers.
        multiply_adds: ``(facts, width, height)`` to ``{layer: multiply-adds}`` of one stylized picture.
        int8: None if the model has no int8 version.
        facts: the keys that its entry in the manifest must have.
    """

    levels: Tuple[int, ...]
    sequential: bool
    method: str
    swap_levels: Tuple[int, ...]
    bytes_per_pixel: int
    build: Callable[[Mapping[str, Any], Mapping[str, Any], Any, bool], "Network"]
    multiply_adds: Callable[[Mapping[str, Any], int, int], Dict[str, float]]
    int8: Optional[Int8] = None
    facts: Tuple[str, ...] = ("widths", "backbone", "ridge")

    @property
    def precisions(self) -> Tuple[str, ...]:
        """The precisions that the model can compute in, without ``auto``."""
        return FLOATS + (("int8",) if self.int8 else ())


def _build_cascade(arrays, facts, dtype, quantized):
    from .cascade import Cascade

    return Cascade(arrays, facts["widths"], facts["backbone"], dtype)


def _build_live(arrays, facts, dtype, quantized):
    from .layers import Convolutions
    from .live import Live
    from .quantized import Integers

    return Live(arrays, facts["widths"], facts["blocks"], dtype, Integers if quantized else Convolutions)


def _cascade_multiply_adds(facts, width, height):
    from .shapes import cascade_multiply_adds

    return cascade_multiply_adds(facts["backbone"], facts["widths"], width, height)


def _live_multiply_adds(facts, width, height):
    from .shapes import live_multiply_adds

    return live_multiply_adds(facts["widths"], facts["blocks"], width, height)


_LIVE_FACTS = ("widths", "blocks", "ridge")
# The minimum speed-ups are measured: at 2.5 times (against bfloat16) `live` took 0.85 of the time and `lite` 1.05,
# at 3.7 times (against float32) 0.6 and 0.8.
MODELS: Dict[str, ModelSpec] = {
    "live": ModelSpec(
        levels=(2, 1, 0),
        sequential=False,
        method="ot",
        swap_levels=(2, 1),
        bytes_per_pixel=150,
        build=_build_live,
        multiply_adds=_live_multiply_adds,
        int8=Int8(min_speedup=1.9),
        facts=_LIVE_FACTS,
    ),
    "lite": ModelSpec(
        levels=(2, 1, 0),
        sequential=False,
        method="ot",
        swap_levels=(2, 1),
        bytes_per_pixel=150,
        build=_build_live,
        multiply_adds=_live_multiply_adds,
        int8=Int8(min_speedup=3.0),
        facts=_LIVE_FACTS,
    ),
    "cascade": ModelSpec(
        levels=(5, 4, 3, 2, 1),
        sequential=True,
        method="wct",
        swap_levels=(5, 4),
        bytes_per_pixel=450,
        build=_build_cascade,
        multiply_adds=_cascade_multiply_adds,
    ),
}
DEFAULT_MODEL = next(iter(MODELS))
INT8_MODELS = tuple(name for name, spec in MODELS.items() if spec.int8)
# Of all models, coarse to fine; 0 is the level of a live model's decoder.
ALL_LEVELS = tuple(sorted({level for spec in MODELS.values() for level in spec.levels}, reverse=True))
ALL_SWAP_LEVELS = tuple(sorted({level for spec in MODELS.values() for level in spec.swap_levels}, reverse=True))
