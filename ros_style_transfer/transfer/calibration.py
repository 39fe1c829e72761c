"""Measurement of the activation ranges that int8 needs; see `models.quantized`."""

from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import numpy as np
import tensorflow as tf

from ..controls import Controls
from ..models.layers import Layer
from ..models.live import Live
from ..models.quantized import INPUT, OUTPUT, QuantizedConvolutions
from ..models.weights import Arrays, Entry
from .pipeline import TransferPipeline
from .regions import Region

PERCENTILE = 10  # of the minima; the maxima have 100 less this


def activation_ranges(
    arrays: Arrays,
    entry: Entry,
    contents: Sequence[np.ndarray],
    styles: Sequence[np.ndarray],
    controls: Controls,
) -> Dict[str, np.ndarray]:
    """``{NAME_range: [2, 2]}`` of a live model, from every content stylized in every style.

    Nine of ten pictures stay within each bound: clipping the rare other values costs less than the
    coarser steps that they would need.

    Args:
        arrays, entry: as `weights.load` returns them.
        contents, styles: uint8 ``[h, w, 3]`` each; sides are multiples of 16 and at least 32.
        controls: resolved.
    """
    network = Live(arrays, entry["widths"], entry["blocks"], convolutions=_ObservedConvolutions)
    observed: Any = network.net
    pipeline = TransferPipeline(network, entry["ridge"])
    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        encoded_styles = [pipeline.encode_style(style) for style in styles]
        observed.bounds.clear()  # styles are encoded in floats
        for content in contents:
            for style in encoded_styles:
                pipeline.stylize(content, [Region(style)], controls)
    finally:
        tf.config.run_functions_eagerly(eager)
    return {
        layer + "_range": np.array([_range(observed.bounds[layer, row]) for row in (INPUT, OUTPUT)], np.float32)
        for layer in dict.fromkeys(layer for layer, _ in observed.bounds)
    }


def _range(bounds: Sequence[Tuple[float, float]]) -> Tuple[float, float]:
    low, high = np.array(bounds).T
    return float(np.percentile(low, PERCENTILE)), float(np.percentile(high, 100 - PERCENTILE))


class _ObservedConvolutions(QuantizedConvolutions):
    """The layers in floats; they record the bounds of each input and output, in eager execution.

    Attributes:
        bounds: ``{(layer, INPUT or OUTPUT): [(minimum, maximum), ...]}``, one pair for each picture.
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        arrays: Mapping[str, np.ndarray],
        prefix: str,
        dtype: tf.DType,
        **padding: Any,
    ) -> None:
        layers = list(layers)
        placeholders: Dict[str, np.ndarray] = {layer[0] + "_range": np.zeros((2, 2), np.float32) for layer in layers}
        super().__init__(layers, {**arrays, **placeholders}, prefix, dtype, **padding)
        self.bounds: Dict[Tuple[str, int], List[Tuple[float, float]]] = {}

    def relu(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(x)

    def _quantize(self, x: tf.Tensor, layer: str, row: int) -> tf.Tensor:
        if x.shape[1] * x.shape[2] > 1:
            self.bounds.setdefault((layer, row), []).append((min(0.0, np.min(x)), max(0.0, np.max(x))))
        return x
