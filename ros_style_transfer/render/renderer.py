"""A Gatys render, coarse to fine: small pictures first, where an evaluation costs little.

Data flow of one size::

    content, styles, mask, scaled -> Objective.prepare
    picture so far, enlarged, with some of the content's detail -> L-BFGS or Adam -> iterates -> picture
                                                                     ^
    curvature by frequency, measured at the size before (`preconditioner`) +
"""

import itertools
import math
import time
from typing import Any, Mapping, NamedTuple

import cv2
import numpy as np

from ..errors import OptionError
from ..media import images
from ..models.device import fastest_float, limit_gpu_memory
from ..resources import available_memory
from ..transfer import colours, masks
from . import optimizers, preconditioner
from .objective import Objective, load_network

SMALLEST = 32  # pixels a side that every network can look at
COARSEST_SIDE = 64  # no size of the pyramid is smaller
DETAIL = 0.5  # how much of the content's detail an enlarged picture gets; all of it would have to be undone
GRAIN = 0.004  # of 0..1, added to the first picture: where all is even, no direction is better than another
HISTORY = 20  # L-BFGS's pairs, if there is memory for them
FEWEST = 3
# The deepest layers are left out if they hold less of the style's part of the loss than this.
LITTLE = 1e-3
PATIENCE = 5  # iterations over which `tolerance` is measured
LEAST_MEMORY = 300.0  # megabytes, of which TensorFlow's own take most


class Progress(NamedTuple):
    """A render's state after an iteration.

    Attributes:
        scale, scales: which size of how many, from 0.
        width, height: pixels of this size.
        iteration, iterations: which of how many at this size, from 1.
        evaluations: of this size, so far.
        loss: the weighted sum.
        losses: its parts: content, style, tv.
        seconds: since the start.
        remaining: seconds, a guess.
        note: what was chosen or left out, or went wrong and what was done about it; mostly empty.
        x: float32 ``[height, width, 3]``, about 0..1.
        curvature: what `preconditioner.measure` said of the size before, or None.
    """

    scale: int
    scales: int
    width: int
    height: int
    iteration: int
    iterations: int
    evaluations: int
    loss: float
    losses: Mapping[str, float]
    seconds: float
    remaining: float
    note: str
    x: np.ndarray
    curvature: Any = None


class Renderer:
    """A loss network in memory.

    Args:
        options: `options.RenderOptions`, checked.
        weights_file: VGG's official weights, see `vgg_weights.load`.
        clock: () to seconds.
    """

    def __init__(self, options, weights_file=None, clock=time.monotonic):
        limit_gpu_memory()
        self._options, self._clock = options, clock
        self._dtype = fastest_float() if options.precision == "auto" else options.precision
        self._network = load_network(options.network, weights_file, options.pooling, self._dtype)

    def render(self, content, styles, weights=None, mask=None, initial=None, start=None):
        """Iterate over the `Progress` of a render; the last one's ``x`` is for `picture`.

        Args:
            content: uint8 RGB ``[h, w, 3]``; what comes out has its size.
            styles: uint8 RGB each.
            weights: of several styles in a mixture; equal when None.
            mask: uint8 ``[h, w]`` labels, see `masks.check`: each style in its region.
            initial: uint8 RGB, the picture to begin with if ``options.init`` is none of its names.
            start: a `Progress` to go on from, of a render of the same.

        Raises:
            ImageError, OptionError: a picture, the mask or the weights are not such.
        """
        o, begun = self._options, self._clock() - (0.0 if start is None else start.seconds)
        if not len(styles):
            raise OptionError("name at least one style")
        for rgb in [content, *styles]:
            images.check(rgb)
        if o.keep_colours == "coral":
            statistics = colours.colour_statistics(content)
            styles = [colours.coral(rgb, *statistics) for rgb in styles]
        weights = [1.0] * len(styles) if weights is None or not len(weights) else weights
        if mask is not None and not np.any(mask):
            raise OptionError("the mask is 0 everywhere: there is nothing to render")
        shares = None if mask is None else region_shares(mask, content.shape, len(styles), o.feather)
        whole = images.pad(content, 1, SMALLEST)
        sizes = pyramid(*whole.shape[:2], o.scales)
        x, curvature, first, done = None, None, 0, 0
        if start is not None:
            x, curvature, first, done = start.x, start.curvature, start.scale, start.iteration
        costs = [height * width for height, width in sizes]
        objective, notes = Objective(self._network, o), []
        if o.precision == "auto":
            notes.append("convolutions in %s, the faster here" % self._dtype)
        for scale in range(first, len(sizes)):
            height, width = sizes[scale]
            small = _scaled(whole, height, width)
            regions, parts = self._regions(small, styles, weights, shares)
            if x is None:
                x = self._first(small, styles, initial)
            elif x.shape != small.shape:
                x = enlarged(x, small)
            tile, history = self._fit(objective, height, width)
            objective.prepare(small, regions, parts, tile)
            if scale == first:
                left = objective.leave_out(x, LITTLE)
                if left:
                    notes.append("left out, since they hold next to nothing of the loss: " + ", ".join(left))
            # Each size has its share of the time, whatever the ones before made of theirs.
            until = o.time_budget * sum(costs[: scale + 1]) / sum(costs) if o.time_budget else math.inf
            values, entered = [], self._clock()
            for iterate in itertools.islice(self._iterates(objective, x, history, curvature), o.iterations - done):
                x, gradient, done = iterate.x, iterate.gradient, done + 1
                values.append(iterate.value)
                seconds = self._clock() - begun
                pace = (self._clock() - entered) / len(values)
                left = pace * (o.iterations - done) + pace * o.iterations * sum(costs[scale + 1 :]) / costs[scale]
                yield Progress(
                    scale,
                    len(sizes),
                    width,
                    height,
                    done,
                    o.iterations,
                    iterate.evaluations,
                    iterate.value,
                    iterate.parts,
                    seconds,
                    min(left, max(0.0, (o.time_budget or math.inf) - seconds)),
                    "; ".join(notes + [iterate.note] * bool(iterate.note)),
                    x,
                    curvature,
                )
                notes = []
                if seconds + pace > until or self._has_settled(values):
                    break
            if not values:
                here = objective(x)
                gradient = here.gradient
                if done < o.iterations:  # else this size was done before the render was cut off
                    yield Progress(
                        scale,
                        len(sizes),
                        width,
                        height,
                        done,
                        o.iterations,
                        1,
                        here.value,
                        here.parts,
                        self._clock() - begun,
                        0.0,
                        "at %dx%d no step lowers the loss" % (width, height),
                        x,
                        curvature,
                    )
            done = 0
            if scale + 1 < len(sizes) and o.optimizer == "lbfgs":
                curvature = preconditioner.measure(objective, x, gradient, o.seed)

    def _iterates(self, objective, x, history, curvature):
        o = self._options
        if o.optimizer == "adam":
            return optimizers.adam(x, objective, o.learning_rate, o.averaging)
        inverse = None if curvature is None else preconditioner.inverse(curvature, *x.shape[:2])
        return optimizers.lbfgs(x, objective, history, inverse)

    def _has_settled(self, values):
        return len(values) > PATIENCE and values[-PATIENCE - 1] - values[-1] < self._options.tolerance * abs(values[-1])

    def _regions(self, small, styles, weights, shares):
        """What `Objective.prepare` takes of styles and regions, for the content at one size."""
        o, (height, width) = self._options, small.shape[:2]
        seen = []
        for rgb in styles:
            rgb = images.center_crop(rgb, o.style_crop)
            longest = min(max(SMALLEST, round(max(height, width) * o.style_scale)), max(rgb.shape[:2]))
            rgb = images.resize(rgb, *images.fit_longest_side(rgb.shape[1], rgb.shape[0], longest))
            seen.append(_as_float(images.pad(rgb, 1, SMALLEST)))
        if shares is None:
            return [list(zip(weights, seen))], None
        present = [n for n in range(len(seen)) if shares[n + 1].any()]
        parts = [
            cv2.resize(
                images.pad(shares[n + 1][..., None], 1, SMALLEST)[..., 0], (width, height), interpolation=cv2.INTER_AREA
            )
            for n in present
        ]
        return [[(1.0, seen[n])] for n in present], np.stack(parts)

    def _first(self, small, styles, initial):
        """The picture to begin with, at the coarsest size."""
        o, (height, width) = self._options, small.shape[:2]
        if initial is not None:
            start = _scaled(initial, height, width)
        elif o.init == "noise":
            return np.random.default_rng(o.seed).random(small.shape, np.float32)
        else:
            start = _scaled(styles[0], height, width) if o.init == "style" else small
        return start + np.float32(GRAIN) * np.random.default_rng(o.seed).standard_normal(small.shape).astype(np.float32)

    def _fit(self, objective, height, width):
        """What is evaluated at once (None: everything) and how many pairs L-BFGS keeps, within `max_memory`."""
        o, pixels = self._options, height * width
        memory = o.max_memory * 1e6 if o.max_memory else 0.8 * available_memory()
        memory -= LEAST_MEMORY * 1e6
        pair = 2 * 12 * pixels  # bytes: a step and a gradient's change
        history = int(min(HISTORY, max(FEWEST, 0.3 * memory / pair)))
        rest = memory - history * pair - 10 * 12 * pixels  # the picture, gradients, and numpy's copies of them
        side = int(math.sqrt(max(0.0, rest) / objective.bytes_per_pixel()))
        if side >= max(height, width) or side**2 >= pixels:
            return None, history
        least = 2 * objective.reach() + 64
        if side < least:
            raise OptionError(
                "a render of %dx%d needs at least %d MB, and max_memory allows %d; choose a smaller size, the network "
                "compact, or more memory"
                % (
                    width,
                    height,
                    math.ceil(
                        (LEAST_MEMORY * 1e6 + FEWEST * pair + 120 * pixels + least**2 * objective.bytes_per_pixel())
                        / 1e6
                    ),
                    (memory + LEAST_MEMORY * 1e6) / 1e6,
                )
            )
        return side, history

    def picture(self, x, content, mask=None):
        """What a `Progress`' ``x`` looks like: uint8 ``[h, w, 3]`` of the content's size, with what the mask leaves
        unpainted and the colours that are to be kept."""
        height, width = content.shape[:2]
        whole = images.pad(content, 1, SMALLEST)
        if x.shape != whole.shape:
            x = cv2.resize(x, (whole.shape[1], whole.shape[0]), interpolation=cv2.INTER_CUBIC)
        painted = np.uint8(np.clip(x[:height, :width], 0, 1) * 255.0 + 0.5)
        if self._options.keep_colours == "luminance":
            painted = colours.keep_luminance(content, painted)
        if mask is not None:
            unpainted = region_shares(mask, content.shape, mask.max(), self._options.feather)[0][..., None]
            painted = np.uint8(unpainted * content + (1 - unpainted) * painted + 0.5)
        return painted


def region_shares(mask, shape, styles, feather):
    """Each label's share of every pixel of a content of this ``shape``; see `masks`."""
    return masks.coverages(masks.check(mask, shape[0], shape[1], styles), styles, feather)


def pyramid(height, width, scales):
    """``[(height, width), ...]``, each half of the next, the last as given; the first at least `COARSEST_SIDE` long
    and `SMALLEST` wide."""
    sizes = [(height, width)]
    while len(sizes) < scales:
        half = tuple(max(1, round(side / 2 ** len(sizes))) for side in (height, width))
        if max(half) < COARSEST_SIDE or min(half) < SMALLEST:
            break
        sizes.insert(0, half)
    return sizes


def enlarged(x, small):
    """``x`` at the size of ``small``, the content, with what of its detail could not be seen before."""
    height, width = small.shape[:2]
    up = lambda rgb: cv2.resize(rgb, (width, height), interpolation=cv2.INTER_CUBIC)
    seen = cv2.resize(small, x.shape[1::-1], interpolation=cv2.INTER_AREA)
    return up(x) + np.float32(DETAIL) * (small - up(seen))


def _as_float(rgb):
    return np.float32(rgb) / np.float32(255)


def _scaled(rgb, height, width):
    return _as_float(images.resize(rgb, width, height))
