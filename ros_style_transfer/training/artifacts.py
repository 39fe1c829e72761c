"""Losses against artifacts of the decoder."""

from keras import ops

PERIOD = 4  # pixels, of the grid that unfolding a quarter of the sides may leave


def grid(rgb, block=32):
    """The grid of period `PERIOD` on ``rgb [b,h,w,3]``: in each block, the mean of every fourth pixel's difference
    from its neighbourhood: ``[b,h',4,w',4,3]``."""
    # Box filters of four and of two pixels: together they have no shift, keep slopes and remove any such grid.
    near = ops.average_pool(ops.average_pool(rgb, PERIOD, 1), 2, 1)
    fine = rgb[:, 2:-2, 2:-2] - near
    h, w = fine.shape[1] // block, fine.shape[2] // block
    cells = ops.reshape(
        fine[:, : h * block, : w * block], (-1, h, block // PERIOD, PERIOD, w, block // PERIOD, PERIOD, 3)
    )
    return ops.mean(cells, (2, 5))
