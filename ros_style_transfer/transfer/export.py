"""A model as a TensorFlow SavedModel, for programs without this package and for TF-TRT.

Two signatures, both of float32 RGB ``[height, width, 3]`` in 0..1, of any size from 32 pixels a side:

``style``  ``rgb`` -> ``mean_L`` ``[c]`` and ``covariance_L`` ``[c, c]`` for every level L; -1: the image's colors
``paint``  ``rgb``, ``strength`` (a scalar, 0..1) and all that ``style`` gave -> ``painted``, clipped to 0..1

One round at the model's own method and levels; a mixture of styles is the weighted mean of what ``style`` gave.
"""

import os

import tensorflow as tf

from ..controls import MODELS
from ..errors import OptionError
from ..models import canvas
from ..models.layers import graph
from ..models.noise import noise_in_graph
from . import wct
from .loading import load_painter

PICTURE = tf.TensorSpec((None, None, 3), name="rgb")


def export(model, folder, dtype="float32", weights_dir=None):
    """Write the SavedModel of ``model`` into ``folder``, which must not be there yet or be empty.

    Raises:
        OptionError: the folder holds something.
        WeightsError: the weights are missing or damaged.
    """
    if os.path.isdir(folder) and os.listdir(folder):
        raise OptionError("%s is not empty; name a new folder" % folder)
    module = tf.Module()
    module.style, module.paint = signatures(load_painter(model, dtype, weights_dir), MODELS[model])
    tf.saved_model.save(module, folder, signatures={"style": module.style, "paint": module.paint})


def signatures(painter, own):
    """The functions ``style`` and ``paint`` of a `pipeline.Painter`, a model with the options ``own``."""
    network = painter.network
    names = [part + "_%d" % level for level in network.style_levels for part in wct.Statistics._fields]

    def style(rgb):
        statistics = painter.graphed_style(_padded(rgb))
        return dict(zip(names, (part for level in network.style_levels for part in statistics[level])))

    style = graph(style, PICTURE)
    shapes = style.get_concrete_function().structured_outputs

    def paint(rgb, strength, *parts):
        picture = _padded(rgb)
        styles = [wct.Statistics(*pair) for pair in zip(parts[::2], parts[1::2])]
        for number, levels in enumerate(network.rounds(own.levels)):
            share = network.ground_share(strength, number)
            under = None if share is None else share * canvas.ground_in_graph(picture)
            picture = painter.graphed(
                network.laid(picture, under),
                tf.fill((len(levels),), strength),
                *styles,
                *(noise_in_graph(level, picture, network.stride(level)) for level in network.noise_levels),
                levels=levels,
                method=own.method,
            )
        return {"painted": tf.clip_by_value(picture[: tf.shape(rgb)[0], : tf.shape(rgb)[1]], 0.0, 1.0)}

    return style, graph(
        paint,
        PICTURE,
        tf.TensorSpec((), name="strength"),
        *[tf.TensorSpec(shapes[name].shape, name=name) for name in names],
    )


def _padded(rgb, multiple=16):
    """Reflected at the right and the bottom until both sides are multiples of 16."""
    shape = tf.shape(rgb)
    return tf.pad(rgb, ((0, -shape[0] % multiple), (0, -shape[1] % multiple), (0, 0)), "REFLECT")
