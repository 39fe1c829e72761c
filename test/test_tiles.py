"""Pictures in tiles: they are the picture again, and their statistics the whole's."""

import numpy as np
import pytest
import tensorflow as tf

from ros_style_transfer.transfer import wct
from ros_style_transfer.transfer.tiles import merge, tiles


@pytest.mark.parametrize(
    "height, width, side, margin",
    [(64, 96, None, 40), (64, 96, 32, 0), (160, 96, 48, 20), (32, 32, 16, 100), (176, 336, 100, 33)],
)
def test_tiles_side_by_side_are_the_picture(height, width, side, margin):
    picture = np.arange(height * width).reshape(height, width)
    painted, times = np.zeros_like(picture), np.zeros_like(picture)
    for tile in tiles(height, width, side, margin):
        read = tile.read(picture)
        assert all(edge % 16 == 0 for edge in (tile.top, tile.left, *read.shape))
        tile.inner(painted, 1)[:] = tile.core(read, 1)
        tile.inner(times, 1)[:] += 1
        assert tile.inner(times, 1).size == tile.area and max(tile.inner(times, 1).shape) <= (side or 1000)
        assert np.array_equal(tile.outer(picture[::16, ::16], 16), read[::16, ::16])
        # As much is read around it as was asked for, or as there is.
        for first, last, begin, end in (
            (tile.top, tile.bottom, read[0, 0] // width, height),
            (tile.left, tile.right, read[0, 0] % width, width),
        ):
            assert begin <= max(0, first - margin) and begin % 16 == 0
            assert (read[-1, -1] // width if end == height else read[-1, -1] % width) >= min(end, last + margin) - 1
    assert np.array_equal(painted, picture) and (times == 1).all()


@pytest.mark.parametrize(
    "height, width, side", [(333, 250, 96), (1000, 64, 112), (17, 900, 128), (33, 40, 16), (1, 1, 16)]
)
def test_sizes_that_are_no_multiples_are_covered_once(height, width, side):
    """As in renders: tiles begin where poolings do, and none is smaller than one of the deepest positions."""
    count = np.zeros((height, width), int)
    for tile in tiles(height, width, side, 20):
        tile.inner(count, 1)[:] += 1
        assert tile.top % 16 == tile.left % 16 == 0
        assert tile.bottom - tile.top >= min(16, height) and tile.right - tile.left >= min(16, width)
        assert max(tile.bottom - tile.top, tile.right - tile.left) < side + 16
        features = tile.read(np.arange(height * width).reshape(height, width))[::2, ::2]  # of a network of stride 2
        assert tile.core(features, 2).shape == ((tile.bottom - tile.top) // 2, (tile.right - tile.left) // 2)
    assert (count == 1).all()


def test_statistics_of_parts_together_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    features = np.float32(rng.normal(3, 1, (40, 30, 5)) @ rng.normal(0, 1, (5, 5)))
    features[:13] += 7
    parts = [
        (wct.statistics(tf.constant(piece)), float(piece.shape[0] * piece.shape[1]))
        for piece in (features[:13, :10], features[:13, 10:], features[13:])
    ]
    found, flat = merge(parts), features.reshape(-1, 5).astype(np.float64)
    assert np.allclose(found.mean, flat.mean(0), rtol=1e-5)
    assert np.allclose(found.covariance, np.cov(flat.T, bias=True), rtol=1e-4, atol=1e-4)
