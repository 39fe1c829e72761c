"""Pictures in tiles, each read with what the networks see around it, and the statistics of all put together."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from .wct import Statistics

UNIT = 16  # pixels: tiles begin and end at multiples, where the networks' poolings do


class Tile(NamedTuple):
    """A rectangle of a picture and the larger one that is read for it; pixels.

    Attributes:
        top, bottom, left, right: the tile, all of which side by side are the picture.
        above, below, before, after: how much more is read on each side.
    """

    top: int
    bottom: int
    left: int
    right: int
    above: int
    below: int
    before: int
    after: int

    @property
    def area(self):
        return float((self.bottom - self.top) * (self.right - self.left))

    def is_all(self, picture):
        """Whether the tile is all of ``picture [h, w, ...]``."""
        return self.area == picture.shape[0] * picture.shape[1]

    def read(self, picture):
        """The part of ``picture [h, w, ...]`` that is read; None stays None."""
        if picture is None:
            return None
        return picture[
            self.top - self.above : self.bottom + self.below, self.left - self.before : self.right + self.after
        ]

    def inner(self, plane, stride):
        """The tile itself of ``plane [h / stride, w / stride, ...]``."""
        return plane[self.top // stride : self.bottom // stride, self.left // stride : self.right // stride]

    def core(self, seen, stride):
        """The tile itself of ``seen [h, w, ...]``, made of what was read at a ``stride``-th of its sides."""
        above, before = self.above // stride, self.before // stride
        height, width = (self.bottom - self.top) // stride, (self.right - self.left) // stride
        return seen[above : above + height, before : before + width]

    def outer(self, plane, stride):
        """The part that is read of ``plane [h / stride, w / stride]``."""
        return self._replace(**{name: getattr(self, name) // stride for name in self._fields}).read(plane)


def tiles(height, width, side=None, margin=0):
    """Cut ``height`` x ``width`` pixels, multiples of `UNIT`, into tiles of at most ``side`` pixels a side.

    Args:
        side: None: one tile, the whole picture.
        margin: pixels read around each, as far as there are any: what the networks' fields reach.

    Returns:
        list of `Tile`.
    """
    side, margin = max(height, width) if side is None else side, -(-margin // UNIT) * UNIT
    return [
        Tile(
            top,
            bottom,
            left,
            right,
            min(margin, top),
            min(margin, height - bottom),
            min(margin, left),
            min(margin, width - right),
        )
        for top, bottom in _spans(height, side)
        for left, right in _spans(width, side)
    ]


def _spans(length, longest):
    count = -(-length // longest)
    step = -(-length // count // UNIT) * UNIT
    return [(start, min(start + step, length)) for start in range(0, length, step)]


def merge(parts):
    """The `wct.Statistics` of all positions from those of their parts (Chan, Golub & LeVeque 1983).

    Args:
        parts: ``[(statistics, weight), ...]``.
    """
    if len(parts) == 1:
        return parts[0][0]
    weights = np.array([weight for _, weight in parts], np.float64)
    weights /= weights.sum()
    means = np.stack([part.mean.numpy() for part, _ in parts]).astype(np.float64)
    mean = weights @ means
    apart = means - mean
    covariance = sum(weight * part.covariance.numpy() for (part, _), weight in zip(parts, weights))
    covariance = covariance + (apart * weights[:, None]).T @ apart
    return Statistics(tf.constant(mean, tf.float32), tf.constant(covariance, tf.float32))
