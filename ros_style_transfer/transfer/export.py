"""Export of a model as a TensorFlow SavedModel, for programs without this package and for TF-TRT.

Its two signatures take float32 RGB ``[height, width, 3]`` in 0..1, of any size from 32 pixels per side:

``style``  ``rgb`` -> ``mean_L`` ``[c]`` and ``covariance_L`` ``[c, c]`` for every level L; -1: the image's colors
``paint``  ``rgb``, ``strength`` (a scalar, 0..1) and the results of ``style`` -> ``painted``, clipped to 0..1

They stylize in one pass with the model's default method and levels.  For a mixture of styles, pass the weighted
mean of their results of ``style``.
"""

import os
from typing import Any, Callable, Dict, Optional, Tuple

import tensorflow as tf

from ..errors import OptionError
from ..models.canvas import canvas_layer_graph
from ..models.layers import traced
from ..models.noise import texture_noise_graph
from ..models.registry import MODELS, ModelSpec
from . import wct
from .loading import load_pipeline
from .pipeline import TransferPipeline

PICTURE = tf.TensorSpec((None, None, 3), name="rgb")


def export(model: str, folder: str, precision: str = "float32", weights_dir: Optional[str] = None) -> None:
    """Write the SavedModel of ``model`` into ``folder``, which must be new or empty.

    Raises:
        OptionError: the folder is not empty.
        WeightsError: the weights are missing or damaged.
    """
    if os.path.isdir(folder) and os.listdir(folder):
        raise OptionError("%s is not empty; name a new folder" % folder)
    module = tf.Module()
    module.style, module.paint = signatures(load_pipeline(model, precision, weights_dir), MODELS[model])
    tf.saved_model.save(module, folder, signatures={"style": module.style, "paint": module.paint})


def signatures(pipeline: TransferPipeline, spec: ModelSpec) -> Tuple[Callable[..., Any], Callable[..., Any]]:
    """The functions ``style`` and ``paint`` of a pipeline for a model."""
    network = pipeline.network
    names = [part + "_%d" % level for level in network.style_levels for part in wct.Statistics._fields]

    def style(rgb: tf.Tensor) -> Dict[str, tf.Tensor]:
        statistics = pipeline.style_graph(_pad(rgb))
        return dict(zip(names, (part for level in network.style_levels for part in statistics[level])))

    style_function: Any = traced(style, PICTURE)
    shapes = style_function.get_concrete_function().structured_outputs

    def paint(rgb: tf.Tensor, strength: tf.Tensor, *parts: tf.Tensor) -> Dict[str, tf.Tensor]:
        picture = _pad(rgb)
        styles = [wct.Statistics(*pair) for pair in zip(parts[::2], parts[1::2])]
        for number, levels in enumerate(network.rounds(spec.levels)):
            if network.canvas_amplitude and number == 0:
                layer = strength * canvas_layer_graph(picture)
                picture += network.canvas_amplitude * layer[..., None]
            picture = pipeline.round_graph(
                picture,
                tf.fill((len(levels),), strength),
                *styles,
                *(texture_noise_graph(level, picture, network.stride(level)) for level in network.noise_levels),
                levels=levels,
                method=spec.method,
            )
        return {"painted": tf.clip_by_value(picture[: tf.shape(rgb)[0], : tf.shape(rgb)[1]], 0.0, 1.0)}

    return style_function, traced(
        paint,
        PICTURE,
        tf.TensorSpec((), name="strength"),
        *[tf.TensorSpec(shapes[name].shape, name=name) for name in names],
    )


def _pad(rgb: tf.Tensor, multiple: int = 16) -> tf.Tensor:
    """``rgb`` reflected at the right and the bottom until both sides are multiples of ``multiple``."""
    shape = tf.shape(rgb)
    return tf.pad(rgb, ((0, -shape[0] % multiple), (0, -shape[1] % multiple), (0, 0)), "REFLECT")
