"""Load a model with its weights, ready to stylize in the requested precision."""

from typing import Optional

import tensorflow as tf

from ..errors import WeightsError
from ..models import device, quantized, weights
from ..models.registry import MODELS
from .pipeline import Painter
from .quantized_pipeline import IntegerPainter


def load_painter(
    model: str, precision: str = "float32", weights_dir: Optional[str] = None, gpu: bool = False
) -> Painter:
    """The pipeline of ``model`` with its weights.

    Args:
        model: one of `registry.MODELS`.
        precision: of the convolutions; ``auto``: the fastest on this machine, by a benchmark.
        weights_dir: a folder with weights and their manifest, as the training writes them; None: the shipped ones.
        gpu: whether it runs on a GPU.

    Raises:
        WeightsError: the weights are missing or damaged, or lack the activation ranges that int8 needs.
    """
    spec = MODELS[model]
    arrays, facts = weights.load(model, weights_dir)
    missing = [name for name in sorted(spec.facts) if name not in facts]
    if missing:
        raise WeightsError(
            "the manifest's entry of %r lacks %s; train or export the model again" % (model, ", ".join(missing))
        )
    floats = "float32" if precision == "int8" else precision
    if precision == "auto":
        floats = device.fastest_dtype(gpu)
        quantizable = not gpu and spec.int8 and quantized.known(arrays)
        precision = "int8" if quantizable and device.gain(floats) >= spec.int8.min_speedup else floats
    network = spec.build(arrays, facts, tf.as_dtype(floats), False)
    if precision == "int8":
        return IntegerPainter(network, spec.build(arrays, facts, tf.float32, True), facts["ridge"])
    return Painter(network, facts["ridge"])
