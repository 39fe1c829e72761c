"""Multi-level WCT (Li et al. 2017, figure 1c): encode, whiten and colour, decode, coarse to fine."""
import tensorflow as tf

from . import wct
from .architecture import LEVELS
from .vgg import Decoder, Encoder

IMAGE = tf.TensorSpec((None, None, 3), tf.uint8)


class Cascade(tf.Module):
    """The five-level cascade over one encoder and one decoder.

    Args:
        arrays: the weights, as `weights.load` gives them.
        backbone, widths: the network's shape, from the manifest.
        levels: which levels paint, in this order.
        dtype: what the convolutions compute in; statistics are float32 always.
    """

    def __init__(self, arrays, backbone, widths, levels=LEVELS, dtype=tf.float32):
        super().__init__(name="cascade")
        self.levels = tuple(levels)
        self.encoder = Encoder(arrays, backbone, widths, dtype)
        self.decoder = Decoder(arrays, backbone, widths, dtype)
        style = {level: wct.Style(tf.TensorSpec((widths[level - 1],)), tf.TensorSpec((widths[level - 1],) * 2))
                 for level in self.levels}
        # One graph for all sizes: a new camera, or a folder of pictures, never waits for tracing.
        self.paint = tf.function(self._paint, input_signature=[IMAGE, style, tf.TensorSpec(())])

    @tf.function(input_signature=[IMAGE])
    def style_of(self, rgb):
        """What the cascade needs of a style picture, uint8 ``[h, w, 3]``: ``{level: wct.Style}``."""
        taps = self.encoder(_floats(rgb), last=max(self.levels))
        return {level: wct.style_of(taps[level][0]) for level in self.levels}

    def _paint(self, rgb, style, strength):
        """The content ``rgb``, uint8 ``[h, w, 3]``, painted in ``style``; the same shape and type.

        Args:
            rgb: sides are multiples of 16 and 32 at least (`images.pad`).
            style: from `style_of`.
            strength: float32 scalar, 0..1, for every level.
        """
        image = _floats(rgb)
        for level in self.levels:
            features = self.encoder(image, last=level)[level]
            features = wct.transform(features[0], style[level], strength)[None]
            image = tf.cast(self.decoder(features, level), tf.float32)
        return tf.cast(tf.round(tf.clip_by_value(image[0], 0.0, 1.0) * 255.0), tf.uint8)


def _floats(rgb):
    return tf.cast(rgb, tf.float32)[None] / 255.0
