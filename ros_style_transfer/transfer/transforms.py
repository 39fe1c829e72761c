"""Statistics and affine maps of features of any size, traced once for each method."""

from typing import Any, Callable, Dict, Optional, Tuple

import tensorflow as tf

from ..controls import Controls
from ..models.layers import traced
from ..models.shapes import COLOR_FLOOR, DECODER_LEVEL, IMAGE_LEVEL
from . import wct

VECTOR = tf.TensorSpec((None,))
PLANE = tf.TensorSpec((None, None))
STATISTICS = wct.Statistics(VECTOR, PLANE)


class Transforms:
    """The functions of `wct` as graphs that are not traced again for another camera or another control.

    Args:
        dtype: of the features.
        ridge: of the whitening, see `wct.RIDGE`.
    """

    def __init__(self, dtype: tf.DType, ridge: float) -> None:
        self.ridge = ridge
        features = tf.TensorSpec((None, None, None), dtype)
        self._statistics = traced(wct.statistics, features)
        self._weighted_statistics = traced(wct.statistics, features, PLANE)
        self._apply = traced(wct.apply, wct.AffineMap(VECTOR, PLANE, VECTOR), features)
        self._plans: Dict[str, Callable[..., Any]] = {}

    def statistics(self, features: tf.Tensor, level: int, weights: Optional[Any] = None) -> wct.Statistics:
        """The statistics of ``features [h, w, c]``, or of an image's colors, weighted by ``weights [h, w]``."""
        if level == IMAGE_LEVEL:
            return wct.color_statistics(features, COLOR_FLOOR, weights)
        result: wct.Statistics = (
            self._statistics(features) if weights is None else self._weighted_statistics(features, weights)
        )
        return result

    def plan(
        self, content: wct.Statistics, style: wct.Statistics, method: str, strength: float
    ) -> Tuple[wct.AffineMap, Tuple[Any, Any]]:
        """See `wct.plan_transform`."""
        if method not in self._plans:
            self._plans[method] = traced(
                lambda c, s, a: wct.plan_transform(c, s, method, a, self.ridge),
                STATISTICS,
                STATISTICS,
                tf.TensorSpec(()),
            )
        affine, moments = self._plans[method](content, style, tf.constant(strength, tf.float32))
        return affine, moments

    def apply(self, affine: wct.AffineMap, features: tf.Tensor, level: int) -> tf.Tensor:
        """``features [h, w, c]``, or an image's colors, transformed by ``affine``."""
        return wct.apply_to_colors(affine, features) if level == IMAGE_LEVEL else self._apply(affine, features)


def level_strength(level: int, controls: Controls) -> float:
    """The strength of the transform at ``level``, 0..1; the image's colors have that of the decoder's level."""
    return controls.strength * controls.level_strength.get(max(level, DECODER_LEVEL), 1.0)
