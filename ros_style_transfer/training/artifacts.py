"""Losses against artifacts of the decoder."""

from typing import Any

from keras import ops

PERIOD = 4  # pixels; unfolding from a quarter of the sides may leave a grid of this period


def grid(rgb: Any, block: int = 32) -> Any:
    """The grid of period `PERIOD` in ``rgb [b, h, w, 3]``: ``[b, h', 4, w', 4, 3]``.

    Each value is the mean difference of every fourth pixel of a block from its neighbourhood.
    """
    # Box filters of four and of two pixels together cause no shift, keep slopes and remove a grid.
    smooth = ops.average_pool(ops.average_pool(rgb, PERIOD, 1), 2, 1)
    fine = rgb[:, 2:-2, 2:-2] - smooth
    h, w = fine.shape[1] // block, fine.shape[2] // block
    cells = ops.reshape(
        fine[:, : h * block, : w * block], (-1, h, block // PERIOD, PERIOD, w, block // PERIOD, PERIOD, 3)
    )
    return ops.mean(cells, (2, 5))
