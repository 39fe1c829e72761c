"""Large pictures in tiles, each read with the network's receptive field as margin, and statistics of several tiles.

Networks and renders use the same tiles.
"""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

from .wct import Statistics

UNIT = 16  # pixels: tiles begin at multiples of it, where the networks' poolings do


class Tile(NamedTuple):
    """A rectangle of a picture, and the margin with which it is read; pixels.

    In a graph the fields are tensors, so that one trace serves all tiles.

    Attributes:
        top, bottom, left, right: the tile itself; the tiles of a picture cover each pixel once.
        above, below, before, after: the margin on each side.
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
    def area(self) -> float:
        return float((self.bottom - self.top) * (self.right - self.left))

    def is_all(self, picture: Any) -> bool:
        """Whether the tile is all of ``picture [h, w, ...]``."""
        return bool(self.area == picture.shape[0] * picture.shape[1])

    def read(self, picture: Any) -> Any:
        """The tile with its margin, a view of ``picture [h, w, ...]``; None for None."""
        if picture is None:
            return None
        return picture[
            self.top - self.above : self.bottom + self.below, self.left - self.before : self.right + self.after
        ]

    def inner(self, plane: Any, stride: int) -> Any:
        """The tile without its margin, of ``plane [h / stride, w / stride, ...]``, a whole picture."""
        return plane[self.top // stride : self.bottom // stride, self.left // stride : self.right // stride]

    def core(self, features: Any, stride: int) -> Any:
        """The tile without its margin, of ``features [h, w, ...]``, which a network with this ``stride`` has made of
        what `read` returned."""
        above, before = self.above // stride, self.before // stride
        height, width = (self.bottom - self.top) // stride, (self.right - self.left) // stride
        return features[above : above + height, before : before + width]

    def outer(self, plane: Any, stride: int) -> Any:
        """The tile with its margin, of ``plane [h / stride, w / stride]``, a whole picture."""
        return self._replace(**{name: getattr(self, name) // stride for name in self._fields}).read(plane)


def tiles(height: int, width: int, side: Optional[int] = None, margin: int = 0) -> List[Tile]:
    """Divide a picture of ``height`` x ``width`` pixels into tiles.

    Args:
        side: the longest side of a tile without its margin, a multiple of `UNIT`; None: one tile, the whole picture.
        margin: pixels read around each tile as far as the picture reaches: the network's receptive radius.
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


def _spans(length: int, longest: int) -> List[Tuple[int, int]]:
    """``[(start, end), ...]`` of about equal length; a remainder of less than `UNIT` belongs to the last one."""
    count = -(-length // longest)
    step = -(-length // count // UNIT) * UNIT
    starts = list(range(0, length, step))
    if len(starts) > 1 and length - starts[-1] < UNIT:
        starts.pop()
    return list(zip(starts, [*starts[1:], length]))


def merge(parts: Sequence[Tuple[Statistics, float]]) -> Statistics:
    """The `wct.Statistics` of all positions from those of their parts (Chan, Golub & LeVeque 1983).

    Args:
        parts: statistics and their weight each.
    """
    if len(parts) == 1:
        return parts[0][0]
    weights: Any = np.array([weight for _, weight in parts], np.float64)
    weights /= weights.sum()
    means = np.stack([part.mean.numpy() for part, _ in parts]).astype(np.float64)
    mean = weights @ means
    deviations = means - mean
    covariance = sum(weight * part.covariance.numpy() for (part, _), weight in zip(parts, weights))
    covariance = covariance + (deviations * weights[:, None]).T @ deviations
    return Statistics(tf.constant(mean, tf.float32), tf.constant(covariance, tf.float32))
