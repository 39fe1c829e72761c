"""The live models in 8-bit integers: what `pipeline` does, with the convolutions of `quantized`.

Statistics, maps and what lies between the convolutions stay in float32::

    picture -> look -> features, statistics -> numpy: maps -> draw -> features, statistics -> maps -> finish -> picture

``look``, ``draw`` and ``finish`` are programs of LiteRT, each as TensorFlow's graph has it
(`pipeline.Painter.graphed`).
"""

import functools

import cv2
import numpy as np
import tensorflow as tf

from ..models.quantized import Program
from ..models.shapes import COLOR_FLOOR, DECODER_LEVEL, IMAGE_LEVEL
from . import wct
from .pipeline import Painter, color_statistics, floats, planned, strength_of

LARGEST = 2**21  # pixels of a picture: LiteRT takes three times TensorFlow's memory


class IntegerPainter(Painter):
    """Paints whole pictures in one style in integers; larger ones, tiles, masks and swapped patches in floats.

    Args:
        network: what paints in floats, and looks at styles.
        integers: the same `live.Live` of `Integers`.
        ridge: see `pipeline.Painter`.
    """

    def __init__(self, network, integers, ridge=wct.RIDGE):
        super().__init__(network, ridge)
        self.dtype, self._integers, self._programs = "int8", integers, {}

    def _in_one_piece(self, picture, under, levels, style, controls):
        if picture.shape[0] * picture.shape[1] > LARGEST:
            return super()._in_one_piece(picture, under, levels, style, controls)
        if levels not in self._programs:
            self._programs[levels] = [
                Program(functools.partial(stage, levels)) for stage in (self._looked, self._drawn, self._finished)
            ]
        look, draw, finish = self._programs[levels]
        looked = look(self._integers.laid(np.asarray(floats(picture)), under))
        targets = {level: wct.Statistics(*map(np.asarray, known)) for level, known in style.statistics.items()}
        features, moments = self._planned(looked, levels, targets, controls)
        moments = [part for pair in moments.values() for part in pair]
        moments += [
            plane * np.float32(strength_of(level, controls) if level in levels else 0)
            for level, plane in self._noise(picture).items()
        ]
        if DECODER_LEVEL in levels:
            features, _ = self._planned(draw(*features, *moments), levels, targets, controls)
        image, content = finish(*features, *moments)
        if DECODER_LEVEL not in levels:
            return image
        affine, _ = planned(
            content, targets[IMAGE_LEVEL], controls.method, strength_of(DECODER_LEVEL, controls), self.ridge
        )
        matrix = affine.matrix.T
        return cv2.transform(image, np.column_stack([matrix, affine.offset - matrix @ affine.centre]))

    def _planned(self, looked, levels, targets, controls):
        """All features that were ``looked`` at, then the numbers of the maps that give them the style's statistics;
        and ``{level: moments}`` that they will have."""
        features, maps, moments = [], [], {}
        for level, (values, content) in looked.items():
            # What is not to be painted is looked at as well, and stays.
            strength = strength_of(level, controls) if level in levels else 0.0
            affine, moments[level] = planned(content, targets[level], controls.method, strength, self.ridge)
            features.append(values)
            maps += affine
        return features + maps, moments

    def _looked(self, levels, laid):
        """The first program: ``{level: (features, statistics)}``."""
        features = self._integers.features(laid, levels)
        return {level: (values, wct.statistics(values)) for level, values in features.items()}

    def _drawn(self, levels, *given):
        """The second, where the decoder's drawing is painted: ``{DECODER_LEVEL: (features, statistics)}``."""
        features, modulation, noise = self._mapped(self.network.modulation_levels, given)
        drawn = self._integers.decode_features(features, modulation[0], noise)
        return {DECODER_LEVEL: (drawn, wct.statistics(drawn))}

    def _finished(self, levels, *given):
        """The last: the picture and the statistics of its colors."""
        redrawn = DECODER_LEVEL in levels
        features, modulation, noise = self._mapped(
            [DECODER_LEVEL] if redrawn else self.network.modulation_levels, given
        )
        if redrawn:
            drawn = features[DECODER_LEVEL]
        else:
            drawn = self._integers.decode_features(features, modulation[0], noise)
        image = self._integers.decode_image(drawn, modulation[1], noise)
        return self._integers.unfold(image), color_statistics(image, COLOR_FLOOR)

    def _mapped(self, levels, given):
        """Features, numbers of their maps, moments and noise to ``{level: features}`` through their maps, the
        modulation and ``{level: noise}``."""
        count, mapped, network = len(levels), {}, self.network
        features, maps, moments = given[:count], given[count : 4 * count], given[4 * count :]
        moments, noise = moments[: 2 * len(network.modulation_levels)], moments[2 * len(network.modulation_levels) :]
        for n, level in enumerate(levels):
            centre, matrix, offset = maps[3 * n : 3 * n + 3]
            # `wct.apply` for a matrix that LiteRT does not know beforehand.
            shift = offset - tf.linalg.matvec(matrix, centre, transpose_a=True)
            mapped[level] = tf.matmul(features[n], matrix[None]) + shift
        moments = dict(zip(network.modulation_levels, zip(moments[::2], moments[1::2])))
        return mapped, self._integers.modulation(moments), dict(zip(network.noise_levels, noise))
