"""Load a model with its weights, ready to stylize in the requested precision."""

from typing import Optional

import tensorflow as tf

from ..errors import WeightsError
from ..models import device, quantized, weights
from ..models.registry import MODELS
from .pipeline import TransferPipeline
from .quantized_pipeline import QuantizedPipeline


def load_pipeline(
    model: str, precision: str = "float32", weights_dir: Optional[str] = None, gpu: bool = False
) -> TransferPipeline:
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
    arrays, entry = weights.load(model, weights_dir)
    missing = [key for key in sorted(spec.manifest_keys) if key not in entry]
    if missing:
        raise WeightsError(
            "the manifest's entry of %r lacks %s; train or export the model again" % (model, ", ".join(missing))
        )
    float_precision = "float32" if precision == "int8" else precision
    if precision == "auto":
        precision = float_precision = device.fastest_float(gpu)
        if spec.int8 and not gpu and quantized.has_ranges(arrays):
            if device.int8_speedup(float_precision) >= spec.int8.min_speedup:
                precision = "int8"
    network = spec.build(arrays, entry, tf.as_dtype(float_precision), False)
    if precision == "int8":
        return QuantizedPipeline(network, spec.build(arrays, entry, tf.float32, True), entry["ridge"])
    return TransferPipeline(network, entry["ridge"])
