"""A model from its weights, ready to paint in the precision that is asked for."""
import functools

import tensorflow as tf

from ..controls import INTEGER_MODELS
from ..errors import WeightsError
from ..models import device, quantized, weights
from ..models.cascade import Cascade
from ..models.live import Live
from .pipeline import Painter
from .quantized_pipeline import IntegerPainter

# How many times faster than in floats integers must be convolved for a model's frames to take less time, all in all.
# Measured: at 2.5 times (bfloat16) `live` took 0.85 of the time and `lite` 1.05, at 3.7 (float32) 0.6 and 0.8.
INTEGERS_PAY = {"live": 1.9, "lite": 3.0}


def load_painter(model, dtype="float32", weights_dir=None, gpu=False):
    """The `pipeline.Painter` of ``model`` with its weights.

    Args:
        dtype: what convolutions compute in; ``auto``: the fastest here, by measuring.
        weights_dir: a folder with a manifest, as the training writes it; our own when None.
        gpu: whether it paints on one.

    Raises:
        WeightsError: the weights are missing or damaged, or say nothing of integers.
    """
    arrays, entry = weights.load(model, weights_dir)
    lacking = {"widths", "backbone", "ridge"} - set(entry)
    if lacking:
        raise WeightsError("the manifest says nothing of %s of %r; train or export it anew"
                           % (", ".join(sorted(lacking)), model))
    floats = "float32" if dtype == "int8" else dtype
    if dtype == "auto":
        floats = device.fastest_dtype(gpu)
        able = not gpu and model in INTEGER_MODELS and quantized.known(arrays)
        dtype = "int8" if able and device.gain(floats) >= INTEGERS_PAY[model] else floats
    floats = tf.as_dtype(floats)
    if model == "cascade":
        return Painter(Cascade(arrays, entry["widths"], entry["backbone"], floats), entry["ridge"])
    live = functools.partial(Live, arrays, entry["widths"], entry["blocks"])
    if dtype == "int8":
        return IntegerPainter(live(floats), live(kind=quantized.Integers), entry["ridge"])
    return Painter(live(floats), entry["ridge"])
