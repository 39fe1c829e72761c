"""The live models in 8-bit integers: what `pipeline` does, with the convolutions of `quantized`.

Statistics, maps and what lies between the convolutions stay in float32::

    picture -> look -> features, statistics -> numpy: maps -> draw -> features, statistics -> maps -> finish -> picture

``look``, ``draw`` and ``finish`` are programs of LiteRT, each as TensorFlow's graph has it
(`pipeline.Painter.graphed`).
"""
import functools

import numpy as np
import tensorflow as tf

from ..models.quantized import Program
from ..models.shapes import DRAWN
from . import wct
from .pipeline import Painter, floats, planned, strength_of

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
            self._programs[levels] = [Program(functools.partial(stage, levels))
                                      for stage in (self._looked, self._drawn, self._finished)]
        look, draw, finish = self._programs[levels]
        looked = look(self._integers.laid(np.asarray(floats(picture)), under))
        targets = {level: wct.Statistics(*map(np.asarray, known)) for level, known in style.statistics.items()}
        moments = {level: wct.moments(targets[level]) for level in self.network.code_levels}
        features, after = self._planned(looked, levels, targets, controls)
        moments.update(after)
        moments = [part for pair in moments.values() for part in pair]
        if DRAWN in levels:
            features, _ = self._planned(draw(*features, *moments), levels, targets, controls)
        return finish(*features, *moments)

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
        """The second, where the decoder's drawing is painted: ``{DRAWN: (features, statistics)}``."""
        features, code = self._mapped(self._integers.seen(levels), given)
        drawn = self._integers.draw(features, code[0])
        return {DRAWN: (drawn, wct.statistics(drawn))}

    def _finished(self, levels, *given):
        """The last: the picture."""
        redrawn = DRAWN in levels
        features, code = self._mapped([DRAWN] if redrawn else self._integers.seen(levels), given)
        drawn = features[DRAWN] if redrawn else self._integers.draw(features, code[0])
        return self._integers.finish(drawn, code[1])

    def _mapped(self, levels, given):
        """Features, numbers of their maps and moments to ``{level: features}`` through their maps, and the code."""
        count, mapped = len(levels), {}
        features, maps, moments = given[:count], given[count : 4 * count], given[4 * count :]
        for n, level in enumerate(levels):
            centre, matrix, offset = maps[3 * n : 3 * n + 3]
            # `wct.apply` for a matrix that LiteRT does not know beforehand.
            shift = offset - tf.linalg.matvec(matrix, centre, transpose_a=True)
            mapped[level] = tf.matmul(features[n], matrix[None]) + shift
        return mapped, self._integers.code(dict(zip(self.network.code_levels, zip(moments[::2], moments[1::2]))))
