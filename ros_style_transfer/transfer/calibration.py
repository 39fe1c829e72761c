"""The ranges of a live model's layers, which int8 needs, found in paintings; see `quantized`."""

import numpy as np
import tensorflow as tf

from ..models.live import Live
from ..models.quantized import GIVEN, MADE, Integers
from .pipeline import Painter, Region


def ranges(arrays, entry, contents, styles, controls):
    """``{NAME_range: [2, 2]}`` of a live model, in paintings of every one of ``contents`` in every one of ``styles``.

    The bounds that nine of ten paintings keep: the rest is so rare that it is better cut off than made
    room for by coarser steps.

    Args:
        arrays, entry: as `weights.load` gives them.
        contents, styles: uint8 ``[h, w, 3]`` each; sides are multiples of 16 and 32 at least.
        controls: `controls.Controls`, resolved.
    """
    network = Live(arrays, entry["widths"], entry["blocks"], kind=_Observed)
    painter = Painter(network, entry["ridge"])
    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        looks = [painter.style_of(style) for style in styles]
        network.net.seen.clear()  # floats look at styles
        for content in contents:
            for look in looks:
                painter.paint(content, [Region(look)], controls)
    finally:
        tf.config.run_functions_eagerly(eager)
    bounds = {key: np.array(each) for key, each in network.net.seen.items()}
    return {
        layer + "_range": np.float32([_usual(bounds[layer, GIVEN]), _usual(bounds[layer, MADE])])
        for layer in dict.fromkeys(layer for layer, _ in bounds)
    }


def _usual(bounds):
    return np.percentile(bounds[:, 0], 10), np.percentile(bounds[:, 1], 90)


class _Observed(Integers):
    """The same layers in floats; they note the bounds of each picture, as long as no graph is made of them."""

    def __init__(self, layers, arrays, prefix, dtype, name, **padding):
        unknown = {layer[0] + "_range": np.zeros((2, 2), np.float32) for layer in layers}
        super().__init__(layers, dict(arrays, **unknown), prefix, dtype, name, **padding)
        self.seen = {}  # {(layer, row): [(least, largest), ...]}

    def relu(self, x):
        return tf.nn.relu(x)

    def _bounded(self, x, layer, row):
        if x.shape[1] * x.shape[2] > 1:
            self.seen.setdefault((layer, row), []).append((min(0.0, np.min(x)), max(0.0, np.max(x))))
        return x
