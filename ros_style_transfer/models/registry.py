"""The models: one `ModelSpec` for each name.  Importing this module needs neither TensorFlow nor NumPy.

Adding a model touches four places:

1. `MODELS` below,
2. the network's own file in this folder, which fulfils `network.Network`,
3. its training in ``training/``,
4. its weights, with their entry in ``weights/manifest.json``.

All other code reads this table: options, parameters, the panel, precisions, tiling and the benchmark.

Two orders hold everywhere.  `MODELS` lists the default first.  ``levels`` run from coarse to fine in
everything that a user reads or writes; a network may store them in any order.
"""

from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from .network import Network
    from .weights import Arrays, Entry

FLOATS = ("float32", "bfloat16", "float16")
PRECISIONS = (*FLOATS, "int8", "auto")


class Int8(NamedTuple):
    """A model's properties in the precision int8.

    Attributes:
        min_speedup: the speed-up of a single convolution over floats at which the whole model becomes
            faster; below it, ``auto`` chooses floats.
        bytes_per_pixel: LiteRT's memory per pixel of a picture.
    """

    min_speedup: float
    bytes_per_pixel: int = 430


class ModelSpec(NamedTuple):
    """The properties of a model that the rest of the package uses.

    Attributes:
        levels: the levels that it can stylize, coarse to fine; all of them by default.
        sequential: whether the levels run one after another, so that a user may choose their order; otherwise
            one round stylizes all of them.
        method: the default transform, one of `controls.METHODS`.
        swap_levels: the levels at which patches can be swapped; the first is the default.
        bytes_per_pixel: memory per pixel of a picture in float32: the increase of the resident set,
            measured at 4 megapixels.
        build: ``(arrays, entry, dtype, quantized)`` to the network: the weights as `weights.load` returns
            them, the model's entry in the manifest, the ``tf.DType`` of its convolutions, and whether they
            compute in 8-bit integers.
        multiply_adds: ``(entry, width, height)`` to ``{layer: multiply-adds}`` of one stylized picture.
        int8: None if the model has no int8 version.
        manifest_keys: the keys that its entry in the manifest must have.
    """

    levels: Tuple[int, ...]
    sequential: bool
    method: str
    swap_levels: Tuple[int, ...]
    bytes_per_pixel: int
    build: Callable[[Mapping[str, Any], Mapping[str, Any], Any, bool], "Network"]
    multiply_adds: Callable[[Mapping[str, Any], int, int], Dict[str, float]]
    int8: Optional[Int8] = None
    manifest_keys: Tuple[str, ...] = ("widths", "backbone", "ridge")

    @property
    def precisions(self) -> Tuple[str, ...]:
        """The precisions that the model supports, without ``auto``."""
        return FLOATS + (("int8",) if self.int8 else ())


def _build_cascade(arrays: "Arrays", entry: "Entry", dtype: Any, quantized: bool) -> "Network":
    from .cascade import Cascade

    return Cascade(arrays, entry["widths"], entry["backbone"], dtype)


def _build_live(arrays: "Arrays", entry: "Entry", dtype: Any, quantized: bool) -> "Network":
    from .layers import Convolutions
    from .live import Live
    from .quantized import QuantizedConvolutions

    convolutions = QuantizedConvolutions if quantized else Convolutions
    return Live(arrays, entry["widths"], entry["blocks"], dtype, convolutions)


def _cascade_multiply_adds(entry: "Entry", width: int, height: int) -> Dict[str, float]:
    from .shapes import cascade_multiply_adds

    return cascade_multiply_adds(entry["backbone"], entry["widths"], width, height)


def _live_multiply_adds(entry: "Entry", width: int, height: int) -> Dict[str, float]:
    from .shapes import live_multiply_adds

    return live_multiply_adds(entry["widths"], entry["blocks"], width, height)


_LIVE = ModelSpec(
    levels=(2, 1, 0),
    sequential=False,
    method="ot",
    swap_levels=(2, 1),
    bytes_per_pixel=190,
    build=_build_live,
    multiply_adds=_live_multiply_adds,
    # The minimum speed-ups are interpolated.  Where a convolution was 2.5 times as fast (than bfloat16), `live` took
    # 0.85 of its time and `lite` 1.05; where it was 3.7 times as fast (than float32), 0.6 and 0.8.
    int8=Int8(min_speedup=1.9),
    manifest_keys=("widths", "blocks", "ridge"),
)
MODELS: Dict[str, ModelSpec] = {
    "live": _LIVE,
    "lite": _LIVE._replace(int8=Int8(min_speedup=3.0)),
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
# The levels of all models, coarse to fine; 0 is the decoder's level of the live models.
ALL_LEVELS = tuple(sorted({level for spec in MODELS.values() for level in spec.levels}, reverse=True))
ALL_SWAP_LEVELS = tuple(sorted({level for spec in MODELS.values() for level in spec.swap_levels}, reverse=True))
