"""What must not be seen on what networks paint, as losses: grids, since rows and columns come easier to them than
what is askew, and halos around things that stand before an even ground."""
import functools

import numpy as np
from keras import ops

BANDS = (0.17, 0.23, 0.33)  # cycles a pixel: the finest that is seen
REACH = 8  # pixels of a filter to each side
FAINT = 1e-6  # energy that is not seen, of 0..1
CELL = 8  # pixels, over which a tone is a mean
HALO = 4  # cells from an edge to where the ground is looked at
FEW = 5.0  # pairs of cells, of which a mean says little
SAME, EDGE = 0.06, 0.15  # differences in colour, 0..1, up to which the ground is one, and from which there is an edge


def weave(rgb, block=32):
    """The grid that `unfold` may leave on ``rgb [b,h,w,3]``: what every fourth pixel along both sides has in
    common, in each block, beside its neighbourhood: ``[b,h',4,w',4,3]``."""
    # Box filters of four and of two pixels: together they have no shift, keep slopes and take off any such grid.
    near = ops.average_pool(ops.average_pool(rgb, 4, 1), 2, 1)
    fine = rgb[:, 2:-2, 2:-2] - near
    h, w = fine.shape[1] // block, fine.shape[2] // block
    cells = ops.reshape(fine[:, : h * block, : w * block], (-1, h, block // 4, 4, w, block // 4, 4, 3))
    return ops.mean(cells, (2, 5))


def gabor_filters():
    """Gabor filters of every band along the rows and columns and askew between them: float32
    ``[side, side, 1, bands * 8]``, for each band two phases at 0, 90, 45 and 135 degrees."""
    y, x = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1]
    bell = np.exp(-(x**2 + y**2) / (2 * (REACH / 2) ** 2))
    bell /= bell.sum()
    filters = []
    for band in BANDS:
        for degrees in (0, 90, 45, 135):
            along = x * np.cos(np.radians(degrees)) + y * np.sin(np.radians(degrees))
            for wave in (np.cos(2 * np.pi * band * along), np.sin(2 * np.pi * band * along)):
                filters.append(bell * (wave - (bell * wave).sum()))  # blind to even light
    return np.float32(np.stack(filters, -1)[:, :, None])


def lean(rgb, block=32):
    """How much more of the fine detail lies along rows and columns than askew, a logarithm, in each block of
    ``rgb [b,h,w,3]``: ``[b,h',w',bands]``."""
    light = ops.cast(ops.mean(rgb, -1, keepdims=True), "float32")
    answers = ops.square(ops.conv(light, gabor_filters(), 2, "valid"))
    energy = ops.average_pool(answers, block // 2, block // 2)
    energy = ops.reshape(energy, (*ops.shape(energy)[:3], len(BANDS), 2, 4))
    energy = ops.log(ops.mean(energy, -1) + FAINT)
    return energy[..., 0] - energy[..., 1]


def hatching(painted, content, style):
    """How far what is painted leans to rows and columns beyond what its style does as a whole, and its content there:
    the mean square of `lean`'s excess, a scalar."""
    allowed = ops.maximum(ops.mean(lean(style), (1, 2), keepdims=True), lean(content))
    return ops.mean(ops.square(ops.relu(lean(painted) - ops.stop_gradient(ops.maximum(allowed, 0.0)))))


def halo(painted, content):
    """How far an even ground is painted in another tone at edges than a few cells away: the square of the mean
    difference in each picture, and their mean, a scalar.

    Pairs of cells `HALO` apart in a row or column count, of one colour in the content with all between
    them, where the first has an edge beside it and the second none.
    """
    colours, tones = (ops.average_pool(ops.cast(rgb, "float32"), CELL, CELL) for rgb in (content, painted))
    # The largest difference in the three by three cells around each.
    contrast = ops.max_pool(colours, 3, 1, "same") + ops.max_pool(-colours, 3, 1, "same")
    contrast = ops.max(contrast, -1, keepdims=True)
    total, count = 0.0, 0.0
    for axis in (1, 2):
        length = colours.shape[axis] - HALO
        at = lambda x, n, axis=axis, length=length: x[:, n : n + length] if axis == 1 else x[:, :, n : n + length]
        steps = [ops.max(ops.abs(at(colours, n) - at(colours, 0)), -1, keepdims=True) for n in range(1, HALO + 1)]
        one = functools.reduce(ops.maximum, steps) < SAME
        for near, far in ((0, HALO), (HALO, 0)):
            counts = ops.cast(one & (at(contrast, near) > EDGE) & (at(contrast, far) < SAME), "float32")
            total = total + ops.sum(counts * (at(tones, near) - at(tones, far)), (1, 2))
            count = count + ops.sum(counts, (1, 2))
    return ops.mean(ops.square(total / (count + FEW)))
