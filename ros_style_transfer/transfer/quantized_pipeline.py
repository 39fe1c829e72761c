"""The live models in 8-bit integers: `pipeline` with the convolutions of `models.quantized`.

Statistics, maps and everything else between the convolutions stay in float32.  LiteRT executes the three
stages of a round, NumPy plans the maps between them::

    picture -> encode -> features, statistics -> maps
            -> decode_features -> features, statistics -> maps
            -> decode_image -> image, color statistics -> map -> picture
"""

import functools
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import cv2
import numpy as np
import tensorflow as tf

from ..controls import Controls
from ..media.images import to_float
from ..models.network import Network
from ..models.quantized import TFLiteFunction
from ..models.shapes import COLOR_FLOOR, DECODER_LEVEL, IMAGE_LEVEL
from . import wct
from .pipeline import TransferPipeline
from .regions import Style
from .tiled_round import noise_planes
from .transforms import level_strength

MAX_INT8_PIXELS = 2**21  # of a picture; LiteRT needs three times TensorFlow's memory

FeaturesAndStatistics = Mapping[int, Tuple[np.ndarray, wct.Statistics]]


class QuantizedPipeline(TransferPipeline):
    """Computes whole pictures in one style in int8; larger ones, tiles, masks and style swap in floats.

    Args:
        network: computes in floats; also encodes the styles.
        quantized_network: the same network with `quantized.QuantizedConvolutions`.
        ridge: see `pipeline.TransferPipeline`.
    """

    def __init__(self, network: Network, quantized_network: Network, ridge: float = wct.RIDGE) -> None:
        super().__init__(network, ridge)
        self.precision = "int8"
        self._quantized = quantized_network
        self._stages: Dict[Tuple[int, ...], List[TFLiteFunction]] = {}

    def _stylize_whole(
        self, picture: np.ndarray, levels: Tuple[int, ...], style: Style, controls: Controls
    ) -> np.ndarray:
        if picture.shape[0] * picture.shape[1] > MAX_INT8_PIXELS:
            return super()._stylize_whole(picture, levels, style, controls)
        if levels not in self._stages:
            self._stages[levels] = [
                TFLiteFunction(functools.partial(stage, levels))
                for stage in (self._encode_stage, self._decode_features_stage, self._decode_image_stage)
            ]
        encode, decode_features, decode_image = self._stages[levels]
        targets = {level: wct.Statistics(*map(np.asarray, each)) for level, each in style.statistics.items()}
        encoded = encode(np.asarray(to_float(picture)))
        inputs, moments_by_level = self._plan(encoded, levels, targets, controls)
        moments = [part for moments in moments_by_level.values() for part in moments]
        noise = [
            plane * np.float32(level_strength(level, controls) if level in levels else 0)
            for level, plane in noise_planes(self.network, picture).items()
        ]
        if DECODER_LEVEL in levels:
            inputs, _ = self._plan(decode_features(*inputs, *moments, *noise), levels, targets, controls)
        image, content = decode_image(*inputs, *moments, *noise)
        if DECODER_LEVEL in levels:
            strength = level_strength(DECODER_LEVEL, controls)
            affine, _ = wct.plan_transform(content, targets[IMAGE_LEVEL], str(controls.method), strength, self.ridge)
            matrix = affine.matrix.T
            image = cv2.transform(image, np.column_stack([matrix, affine.offset - matrix @ affine.centre]))
        return np.asarray(image)

    def _plan(
        self,
        features_by_level: FeaturesAndStatistics,
        levels: Sequence[int],
        targets: Mapping[int, wct.Statistics],
        controls: Controls,
    ) -> Tuple[List[Any], Dict[int, Tuple[Any, Any]]]:
        """The inputs of the next stage: all features, then the parts of their maps to the style's statistics; and
        ``{level: moments}`` of the transformed features."""
        features: List[Any] = []
        maps: List[Any] = []
        moments = {}
        for level, (values, content) in features_by_level.items():
            # Levels that are not stylized are inputs as well; their map is the identity.
            strength = level_strength(level, controls) if level in levels else 0.0
            affine, moments[level] = wct.plan_transform(
                content, targets[level], str(controls.method), strength, self.ridge
            )
            features.append(values)
            maps += affine
        return features + maps, moments

    def _encode_stage(self, levels: Sequence[int], rgb: tf.Tensor) -> Dict[int, Tuple[tf.Tensor, wct.Statistics]]:
        """``{level: (features, statistics)}`` of a picture."""
        features = self._quantized.encode(rgb, levels)
        return {level: (values, wct.statistics(values)) for level, values in features.items()}

    def _decode_features_stage(
        self, levels: Sequence[int], *inputs: tf.Tensor
    ) -> Dict[int, Tuple[tf.Tensor, wct.Statistics]]:
        """``{DECODER_LEVEL: (features, statistics)}``; only if the decoder's features are transformed."""
        features, modulation, noise = self._unpack(self.network.modulation_levels, inputs)
        decoded = self._quantized.decode_features(features, modulation[0], noise)
        return {DECODER_LEVEL: (decoded, wct.statistics(decoded))}

    def _decode_image_stage(self, levels: Sequence[int], *inputs: tf.Tensor) -> Tuple[tf.Tensor, wct.Statistics]:
        """The picture and the statistics of its colors."""
        separate = DECODER_LEVEL in levels
        features, modulation, noise = self._unpack(
            [DECODER_LEVEL] if separate else self.network.modulation_levels, inputs
        )
        if separate:
            decoded = features[DECODER_LEVEL]
        else:
            decoded = self._quantized.decode_features(features, modulation[0], noise)
        image = self._quantized.decode_image(decoded, modulation[1], noise)
        return self._quantized.unfold(image), wct.color_statistics(image, COLOR_FLOOR)

    def _unpack(
        self, levels: Sequence[int], inputs: Sequence[tf.Tensor]
    ) -> Tuple[Dict[int, tf.Tensor], Tuple[Any, Any], Dict[int, tf.Tensor]]:
        """A stage's inputs (features, parts of their maps, moments, noise) as ``{level: transformed features}``, the
        modulation, and ``{level: noise}``."""
        count, network = len(levels), self.network
        features, maps, rest = inputs[:count], inputs[count : 4 * count], inputs[4 * count :]
        moments, noise = rest[: 2 * len(network.modulation_levels)], rest[2 * len(network.modulation_levels) :]
        transformed = {}
        for n, level in enumerate(levels):
            centre, matrix, offset = maps[3 * n : 3 * n + 3]
            # `wct.apply` needs a constant matrix in LiteRT.
            shift = offset - tf.linalg.matvec(matrix, centre, transpose_a=True)
            transformed[level] = tf.matmul(features[n], matrix[None]) + shift
        modulation = self._quantized.modulation(dict(zip(network.modulation_levels, zip(moments[::2], moments[1::2]))))
        return transformed, modulation, dict(zip(network.noise_levels, noise))
