"""The cascade of Li et al. 2017 (figure 1c): five rounds of encoding and decoding, coarse to fine."""
import functools

import tensorflow as tf

from . import wct
from .architecture import LEVELS
from .vgg import Decoder, Encoder, graph

PICTURE = tf.TensorSpec((None, None, 3))


class Cascade(tf.Module):
    """The encoder and five decoders of the multi-level WCT; `painter.paint` runs them level by level.

    Args:
        arrays: the weights, as `weights.load` gives them.
        widths: the channels of the five blocks, from the manifest.
        backbone: ``vgg16`` or ``vgg19``.
        dtype: what the convolutions compute in.
    """

    def __init__(self, arrays, widths, backbone, dtype=tf.float32):
        super().__init__(name="cascade")
        self.encoder = Encoder(arrays, backbone, widths, dtype)
        self.decoders = {level: Decoder(level, arrays, backbone, widths, dtype) for level in LEVELS}
        self.dtype = self.encoder.dtype
        # One graph for all sizes: a new camera, or a folder of pictures, never waits for tracing.
        self._encode, self._decode = {}, {}
        for level, width in zip(sorted(LEVELS), widths):
            features = tf.TensorSpec((None, None, width), self.encoder.dtype)
            self._encode[level] = graph(functools.partial(self._encoded, level=level), PICTURE)
            self._decode[level] = graph(functools.partial(self._decoded, level=level), features)
        self._statistics = graph(self._statistics_of, PICTURE)

    def rounds(self, levels):
        """The levels that one encoding and decoding paints, in turn: each by itself."""
        return [(level,) for level in levels]

    def encode(self, rgb, levels, canvas=None):
        """``{level: features [h / 2^(level-1), w / 2^(level-1), c]}`` of the one level asked for.

        Args:
            rgb: float32 ``[h, w, 3]``, 0..1; sides are multiples of 16 and 32 at least.
            canvas: not looked at; the live model's.
        """
        (level,) = levels
        return {level: self._encode[level](rgb)}

    def decode(self, features):
        """What `encode` gave, transformed, to RGB ``[h, w, 3]`` float32, unclipped."""
        ((level, values),) = features.items()
        return self._decode[level](values)

    def style_of(self, rgb):
        """``{level: wct.Statistics}`` of a style picture, float32 ``[h, w, 3]``, all five levels."""
        return self._statistics(rgb)

    def _encoded(self, rgb, level):
        return self.encoder.taps(rgb[None], level)[level][0]

    def _decoded(self, features, level):
        return tf.cast(self.decoders[level].decode(features[None])[0], tf.float32)

    def _statistics_of(self, rgb):
        return {level: wct.statistics(features[0]) for level, features in self.encoder.taps(rgb[None]).items()}
