"""Painting with any model: encode, give the features the style's statistics, decode, level by level.

Data flow of one round, the same for the cascade (five rounds of a level each) and the live model
(one round of all its levels)::

    picture -> encode -> features -> statistics -> affine map (or patches swapped) -> decode -> picture
                                                        ^
    styles -> encode -> statistics, blended ------------+    one map for each region of a mask
"""
from typing import Mapping, NamedTuple, Optional, Tuple

import cv2
import numpy as np
import tensorflow as tf

from . import wct
from .errors import OptionError
from .vgg import graph

MATRIX = tf.TensorSpec((None, None))
VECTOR = tf.TensorSpec((None,))
STATISTICS = wct.Statistics(VECTOR, MATRIX)
# A region with fewer positions than this at some level takes the whole picture's statistics there.
SMALLEST_REGION = 64
# Numbers that a swap's table of likenesses may have: 2 GB.
LARGEST_SWAP = 2**29


class Style(NamedTuple):
    """A style as the painter needs it.

    Attributes:
        statistics: ``{level: wct.Statistics}``.
        features: the whitened features at the swap's level, ``[h, w, c]`` float32, of each style in
            it, with the style's share; empty unless patches are swapped.
    """

    statistics: Mapping[int, wct.Statistics]
    features: Tuple[Tuple[float, tf.Tensor], ...] = ()


class Region(NamedTuple):
    """A part of the picture and its style.

    Attributes:
        style: `Style`, or None: this part stays as it is.
        share: float32 ``[h, w]``, 0..1, how much of each pixel is the region's; None: all of it.
    """

    style: Optional[Style]
    share: Optional[np.ndarray] = None


def blend(styles, weights):
    """One `Style` out of several: their statistics' weighted mean, and what each swaps in by its share.

    Args:
        styles: `Style` each.
        weights: numbers, none negative, not all 0; only their proportion counts.
    """
    shares = np.asarray(weights, np.float64) / np.sum(weights)
    if len(styles) == 1:
        return styles[0]
    blended = {level: wct.blend([style.statistics[level] for style in styles], shares.astype(np.float32))
               for level in styles[0].statistics}
    return Style(blended, tuple((float(share) * part, features) for style, share in zip(styles, shares)
                                for part, features in style.features))


class Painter:
    """Paints with ``network`` (`cascade.Cascade` or `live.Live`).

    Args:
        ridge: the whitening's, what the network was trained with; see `wct.RIDGE`.
    """

    def __init__(self, network, ridge=wct.RIDGE):
        self.network, self.ridge = network, ridge
        self._maps = {}
        features = tf.TensorSpec((None, None, None), network.dtype)
        # Small graphs for features of any size: nothing is traced anew for another camera or another control.
        self._statistics = graph(wct.statistics, features)
        self._statistics_within = graph(wct.statistics, features, tf.TensorSpec((None, None)))
        self._apply = graph(wct.apply, wct.AffineMap(VECTOR, MATRIX, VECTOR), features)

    def style_of(self, rgb, swap_level=None):
        """The `Style` of a picture as `paint` takes it; with the features of ``swap_level`` unless that is None."""
        statistics, features = self.network.style_of(rgb), ()
        if swap_level is not None:
            white = _whiten(self.network.encode(rgb, (swap_level,))[swap_level], statistics[swap_level], self.ridge)
            features = ((1.0, white),)
        return Style(statistics, features)

    def paint(self, rgb, regions, controls, canvas=None):
        """``rgb`` painted, float32 ``[h, w, 3]``, about 0..1, unclipped.

        Args:
            rgb: float32 ``[h, w, 3]``, 0..1; sides are multiples of 16 and 32 at least.
            regions: `Region` each; their shares sum to 1 at every pixel.
            controls: `options.Controls`, resolved.
            canvas: float32 ``[h, w]``, what the live model paints on; None: the canvas as it stands.
        """
        image = rgb
        for _ in range(controls.passes):
            for levels in self.network.rounds(controls.levels):
                if not any(_strength(level, controls) for level in levels):
                    continue  # the network would only blur the picture
                features = dict(self.network.encode(image, levels, canvas))
                for level in levels:
                    features[level] = self._transform(features[level], level, regions, controls)
                image = self.network.decode(features)
        return image

    def _transform(self, features, level, regions, controls):
        """One level's features with every region's statistics changed to its style's."""
        strength = _strength(level, controls)
        whole = None
        painted = 0.0
        for region in regions:
            share = None if region.share is None else _shrink(region.share, features.shape)
            if region.style is None and controls.method != "whiten":
                result = features
            else:
                if share is None or share.sum() < SMALLEST_REGION:
                    whole = content = whole or self._statistics(features)
                else:
                    content = self._statistics_within(features, share)
                result = self._restyle(features, content, level, region.style, strength, controls)
            if share is None:
                return result
            painted += tf.cast(share[..., None], features.dtype) * result
        return painted

    def _restyle(self, features, content, level, style, strength, controls):
        target = content if controls.method == "whiten" else style.statistics[level]
        if controls.swap and level == controls.swap_level:
            return tf.cast(_swapped(features, content, style.features, target, strength, controls, self.ridge),
                           features.dtype)
        if controls.method not in self._maps:
            # Traced once for each method that is used, whatever the number of channels.
            self._maps[controls.method] = graph(
                lambda c, s, a, method=controls.method: wct.affine_map(c, s, method, a, self.ridge),
                STATISTICS, STATISTICS, tf.TensorSpec(()))
        return self._apply(self._maps[controls.method](content, target, tf.constant(strength, tf.float32)), features)


def _strength(level, controls):
    return controls.strength * controls.level_strength.get(level, 1.0)


def _swapped(features, content, style_features, target, strength, controls, ridge):
    """`wct.swap` between whitened features, blended and coloured (UST's order)."""
    flat = _whiten(features, content, ridge)
    mixed = (1.0 - controls.swap) * flat
    for share, style in style_features:
        _check_swap(features.shape, style.shape, controls)
        mixed += controls.swap * share * wct.swap(flat, style, controls.swap_patch, controls.swap_stride)
    coloured = tf.tensordot(mixed, wct.root(target.covariance, 0.5), 1) + target.mean
    return strength * coloured + (1.0 - strength) * tf.cast(features, tf.float32)


def _check_swap(shape, style_shape, controls):
    positions = shape[0] * shape[1]
    patches = np.prod([side // controls.swap_stride + 1 for side in style_shape[:2]])
    height, width = min((shape[:2], style_shape[:2]), key=min)
    if min(height, width) < controls.swap_patch:
        raise OptionError("swap_patch %d is larger than the features at level %d, %dx%d; choose a smaller one, or a "
                          "larger picture or style_scale" % (controls.swap_patch, controls.swap_level, width, height))
    if positions * patches > LARGEST_SWAP:
        raise OptionError("swapping %d patches at %d positions needs too much memory; choose a larger swap_stride, a "
                          "smaller style_scale or a deeper swap_level" % (patches, positions))


def _whiten(features, statistics, ridge):
    white = wct.root(statistics.covariance, -0.5, ridge)
    return tf.tensordot(tf.cast(features, tf.float32) - statistics.mean, white, 1)


def _shrink(share, shape):
    """A region's share of each position, at a level's resolution, by area."""
    return cv2.resize(share, (shape[1], shape[0]), interpolation=cv2.INTER_AREA).reshape(shape[0], shape[1])
