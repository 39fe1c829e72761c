"""Styles as statistics, and the regions of a picture that they apply to."""

from typing import Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from . import wct


class Style(NamedTuple):
    """A style, or a mixture of styles.

    Attributes:
        statistics: ``{level: statistics of its features}``.
        features: for each style of the mixture, its weight and its whitened features ``[h, w, c]``, float32, at the
            level whose patches are swapped; empty without style swap.
    """

    statistics: Mapping[int, wct.Statistics]
    features: Tuple[Tuple[float, tf.Tensor], ...] = ()


class Region(NamedTuple):
    """A region of a picture and its style.

    Attributes:
        style: None: the region is not stylized.
        coverage: float32 ``[h, w]``, 0..1, the fraction of each pixel that belongs to the region; None: all of it.
    """

    style: Optional[Style]
    coverage: Optional[np.ndarray] = None


def blend_styles(styles: Sequence[Style], weights: Sequence[float]) -> Style:
    """The mixture of ``styles``: the weighted mean of their statistics, and the features of all with their weights.

    Args:
        weights: not negative, not all 0; only their proportions count.
    """
    fractions = np.asarray(weights, np.float64) / np.sum(weights)
    if len(styles) == 1:
        return styles[0]
    statistics = {
        level: wct.blend([style.statistics[level] for style in styles], fractions.astype(np.float32))
        for level in styles[0].statistics
    }
    features = tuple(
        (float(fraction) * weight, features)
        for style, fraction in zip(styles, fractions)
        for weight, features in style.features
    )
    return Style(statistics, features)
