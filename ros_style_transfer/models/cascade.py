"""The cascade of Li et al. 2017 (figure 1c): five rounds of encoding and decoding, coarse to fine."""

import functools
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from .canvas import CANVAS_AMPLITUDE
from .layers import traced
from .network import Network
from .shapes import LEVELS, cascade_receptive_radii
from .vgg import Decoder, Encoder
from .weights import Arrays

PICTURE = tf.TensorSpec((None, None, 3))


class Cascade(Network):
    """Five encoders and decoders; each round uses those of one level.

    Args:
        arrays: the weights, as `weights.load` returns them.
        widths: the channels of the five blocks.
        backbone: ``vgg16`` or ``vgg19``.
        dtype: precision of the convolutions.
    """

    canvas_amplitude = CANVAS_AMPLITUDE

    def __init__(self, arrays: Arrays, widths: Sequence[int], backbone: str, dtype: tf.DType = tf.float32) -> None:
        self.dtype = tf.as_dtype(dtype)
        self.levels = self.style_levels = LEVELS
        self._backbone = backbone
        self._encoders = {level: Encoder(level, arrays, backbone, widths, dtype) for level in LEVELS}
        self._decoders = {level: Decoder(level, arrays, backbone, widths, dtype) for level in LEVELS}
        # One graph for all sizes: neither a new camera nor a folder of pictures waits for tracing.
        self._encode: Dict[int, Any] = {}
        self._decode: Dict[int, Any] = {}
        for level, width in zip(sorted(LEVELS), widths):
            features = tf.TensorSpec((None, None, width), self.dtype)
            self._encode[level] = traced(functools.partial(self._encode_level, level=level), PICTURE)
            self._decode[level] = traced(functools.partial(self._decode_level, level=level), features)

    def rounds(self, levels: Sequence[int]) -> List[Tuple[int, ...]]:
        """A round for each level; see `Network.rounds`."""
        return [(level,) for level in levels]

    def stride(self, level: int) -> int:
        """See `Network.stride`."""
        return int(2 ** (level - 1))

    def receptive_radii(self, levels: Sequence[int]) -> Tuple[int, int]:
        """See `Network.receptive_radii`."""
        return max(cascade_receptive_radii(level, self._backbone) for level in levels)

    def encode(self, rgb: Any, levels: Sequence[int]) -> Mapping[int, tf.Tensor]:
        """``{level: features [h / 2^(level-1), w / 2^(level-1), c]}``; see `Network.encode`."""
        return {level: self._encode[level](rgb) for level in levels}

    def decode_image(
        self, features: Mapping[int, tf.Tensor], modulation: Any = (), noise: Optional[Mapping[int, Any]] = None
    ) -> tf.Tensor:
        """The features of one level, transformed, to RGB; see `Network.decode_image`."""
        ((level, values),) = features.items()
        return self._decode[level](values)

    def _encode_level(self, rgb: tf.Tensor, level: int) -> tf.Tensor:
        return self._encoders[level].encode(rgb[None])[0]

    def _decode_level(self, features: tf.Tensor, level: int) -> tf.Tensor:
        return tf.cast(self._decoders[level].decode(features[None])[0], tf.float32)
