"""A render: from small to large sizes a picture is optimized, because an evaluation of a small one costs little.

Data flow of one size::

    content, styles, mask, resized -> Objective.prepare
    picture so far, enlarged, with some of the content's detail -> L-BFGS or Adam -> iterates -> picture
                                                                      ^
    Hessian by frequency, estimated at the size before (`preconditioner`) +
"""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
import tensorflow as tf

from ..errors import ImageError, OptionError
from ..media import images
from ..models.device import fastest_float, limit_gpu_memory
from ..resources import available_memory
from ..transfer import colours, masks
from . import optimizers, preconditioner
from .objective import Objective, load_network
from .options import RenderOptions
from .schedule import Schedule, TimeUp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rgb = NDArray[np.uint8]
    FloatRgb = NDArray[np.float32]

MIN_SIDE = 32  # pixels; every network can process a picture of this size
MIN_LONGEST_SIDE = 64  # pixels; the pyramid has no smaller size
DETAIL_WEIGHT = 0.5  # of the content's detail in an enlarged picture; with all of it, the style would have to remove it
INITIAL_NOISE = 0.004  # deviation, of 0..1, added to the first picture: in flat regions all directions are equal
MAX_HISTORY = 20  # pairs that L-BFGS keeps if the memory suffices
MIN_HISTORY = 3
NEGLIGIBLE = 1e-3  # the deepest layers are left out if their part of the style loss is smaller
CONVERGENCE_WINDOW = 5  # iterations over which `tolerance` is measured
BASE_MEMORY = 300.0  # megabytes, most of which TensorFlow itself takes


class Progress(NamedTuple):
    """A render's state after an iteration.

    Attributes:
        scale, scales: number of the current size, from 0, and how many sizes there are.
        width, height: of the current size, pixels.
        iteration, iterations: number of the iteration at this size, from 1, and the most there are.
        evaluations: of the loss, at this size so far.
        loss: the weighted sum.
        losses: its parts: content, style, tv.
        seconds: since the render began.
        remaining: estimated seconds.
        note: what was chosen or left out, or a problem and how it was handled; usually empty.
        x: float32 ``[height, width, 3]``, about 0..1.
        curvature: `preconditioner.estimate_hessian` at the size before, or None.
        total_iterations: at all sizes so far.
        shortfall: of the last state, if the time budget ended the render early: a sentence that says so.
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
    x: FloatRgb
    curvature: Any = None
    total_iterations: int = 0
    shortfall: str = ""


class Renderer:
    """A loss network in memory.

    Args:
        options: checked by `options.check`.
        weights_file: VGG's official weights, see `vgg_weights.load`.
        clock: () to seconds.
        started: when the render began, on ``clock``, if its time budget includes the start-up of the program; None:
            when `render` is called.

    Raises:
        WeightsError: the weights are missing or damaged.
    """

    def __init__(
        self,
        options: RenderOptions,
        weights_file: Optional[str] = None,
        clock: Callable[[], float] = time.monotonic,
        started: Optional[float] = None,
    ) -> None:
        limit_gpu_memory()
        self._options, self._clock, self._started = options, clock, started
        self._dtype = fastest_float() if options.precision == "auto" else options.precision
        self._network = load_network(options.network, weights_file, options.pooling, self._dtype)

    def render(
        self,
        content: Rgb,
        styles: Sequence[Rgb],
        weights: Optional[Sequence[float]] = None,
        mask: Optional[NDArray[np.uint8]] = None,
        initial: Optional[Rgb] = None,
        start: Optional[Progress] = None,
    ) -> Iterator[Progress]:
        """Iterate over the `Progress` of a render; `picture` makes a picture of the last one's ``x``.

        Args:
            content: uint8 RGB ``[h, w, 3]``; the result has its size.
            styles: uint8 RGB each.
            weights: of several styles in a mixture; None or empty: equal.
            mask: uint8 ``[h, w]`` labels, see `masks.check`: each style in its region.
            initial: uint8 RGB, the picture to begin with; None: what ``options.init`` says.
            start: the `Progress` to continue from, of a render of the same inputs.

        Raises:
            ImageError: a picture or the mask is not one, or the memory does not suffice.
            OptionError: there is no style, or the mask leaves nothing to render.
        """
        try:
            yield from self._render(content, styles, weights, mask, initial, start)
        except tf.errors.ResourceExhaustedError:
            height, width = content.shape[:2]
            raise ImageError(
                "the memory did not suffice to render %dx%d; choose a smaller size, the network compact, or less "
                "max_memory, so that the loss is evaluated in tiles" % (width, height)
            ) from None

    def _render(
        self,
        content: Rgb,
        styles: Sequence[Rgb],
        weights: Optional[Sequence[float]],
        mask: Optional[NDArray[np.uint8]],
        initial: Optional[Rgb],
        start: Optional[Progress],
    ) -> Iterator[Progress]:
        options = self._options
        styles, style_weights, coverage = self._check_inputs(content, styles, weights, mask)
        padded = images.pad(content, 1, MIN_SIDE)
        sizes = pyramid(*padded.shape[:2], options.scales)
        began = self._clock() if self._started is None else self._started
        schedule = Schedule(
            [height * width for height, width in sizes],
            options.iterations,
            options.time_budget,
            began,
            self._clock,
        )
        x: Optional[FloatRgb] = None
        curvature, first_scale, done, total = None, 0, 0, 0
        if start is not None:
            x, curvature, first_scale, done = start.x, start.curvature, start.scale, start.iteration
            began, total = began - start.seconds, start.total_iterations
        objective = Objective(self._network, options)
        notes = ["convolutions in %s, the faster here" % self._dtype] * (options.precision == "auto")
        progress = start
        for scale in range(first_scale, len(sizes)):
            height, width = sizes[scale]
            resized_content = _resized(padded, height, width)
            regions, region_coverage = self._regions(resized_content, styles, style_weights, coverage)
            if x is None:
                x = self._initial_picture(resized_content, styles, initial)
            elif x.shape != resized_content.shape:
                x = enlarged(x, resized_content)
            tile_side, history = self._fit_memory(objective, height, width)
            objective.prepare(resized_content, regions, region_coverage, tile_side)
            if scale == first_scale:
                dropped = objective.drop_negligible_layers(x, NEGLIGIBLE)
                if dropped:
                    notes.append("left out, since they hold next to nothing of the loss: " + ", ".join(dropped))
            schedule.begin_size(scale, done)
            best = _Best(options)
            values: List[float] = []
            gradient: Optional[FloatRgb] = None
            iterates = self._iterates(objective, schedule, x, history, curvature)
            try:
                for iterate in itertools.islice(iterates, options.iterations - done):
                    x, gradient, done, total = iterate.x, iterate.gradient, done + 1, total + 1
                    values.append(iterate.value)
                    best.add(iterate)
                    schedule.record_iteration()
                    progress = Progress(
                        scale,
                        len(sizes),
                        width,
                        height,
                        done,
                        options.iterations,
                        iterate.evaluations,
                        iterate.value,
                        iterate.parts,
                        self._clock() - began,
                        schedule.remaining(),
                        "; ".join(notes + [iterate.note] * bool(iterate.note)),
                        x,
                        curvature,
                        total,
                    )
                    yield progress
                    notes = []
                    if schedule.size_is_over() or self._has_converged(values):
                        break
                if gradient is None:
                    evaluation = objective(x)
                    gradient = evaluation.gradient
                    if done < options.iterations:  # otherwise this size was done before the render was interrupted
                        progress = Progress(
                            scale,
                            len(sizes),
                            width,
                            height,
                            done,
                            options.iterations,
                            1,
                            evaluation.value,
                            evaluation.parts,
                            self._clock() - began,
                            0.0,
                            "at %dx%d no step lowers the loss" % (width, height),
                            x,
                            curvature,
                            total,
                        )
                        yield progress
            except TimeUp:
                pass
            if schedule.cut:
                x = best.choose(x)
            if not schedule.allows_next_size():
                break
            done = 0
            if options.optimizer == "lbfgs" and gradient is not None:
                curvature = preconditioner.estimate_hessian(objective, x, gradient, options.seed)
        if schedule.cut and progress is not None and x is not None:
            height, width = content.shape[:2]
            yield progress._replace(
                x=x,
                remaining=0.0,
                note="",
                seconds=self._clock() - began,
                shortfall=self._shortfall(progress, width, height),
            )

    def _check_inputs(
        self,
        content: Rgb,
        styles: Sequence[Rgb],
        weights: Optional[Sequence[float]],
        mask: Optional[NDArray[np.uint8]],
    ) -> Tuple[Sequence[Rgb], Sequence[float], Optional[FloatRgb]]:
        """The styles as they are rendered, their weights, and the coverage of the mask's labels."""
        if not len(styles):
            raise OptionError("name at least one style")
        for rgb in [content, *styles]:
            images.check(rgb)
        if self._options.keep_colours == "coral":
            statistics = colours.colour_statistics(content)
            styles = [colours.coral(rgb, *statistics) for rgb in styles]
        if weights is None or not len(weights):
            weights = [1.0] * len(styles)
        if mask is None:
            return styles, weights, None
        if not np.any(mask):
            raise OptionError("the mask is 0 everywhere: there is nothing to render")
        return styles, weights, region_coverage_of(mask, content.shape, len(styles), self._options.feather)

    def _iterates(
        self,
        objective: Objective,
        schedule: Schedule,
        x: FloatRgb,
        history: int,
        curvature: Optional[NDArray[Any]],
    ) -> Iterator[optimizers.Iterate]:
        def evaluate(x: FloatRgb) -> optimizers.Evaluation:
            schedule.check_time()
            return objective(x)

        options = self._options
        if options.optimizer == "adam":
            return optimizers.adam(x, evaluate, options.learning_rate, options.averaging)
        inverse = None if curvature is None else preconditioner.inverse_hessian(curvature, *x.shape[:2])
        return optimizers.lbfgs(x, evaluate, history, inverse)

    def _has_converged(self, values: Sequence[float]) -> bool:
        if len(values) <= CONVERGENCE_WINDOW:
            return False
        return values[-CONVERGENCE_WINDOW - 1] - values[-1] < self._options.tolerance * abs(values[-1])

    def _shortfall(self, progress: Progress, width: int, height: int) -> str:
        """The sentence that says what the time budget has left undone."""
        reached = "%d of %d at %dx%d" % (progress.iteration, progress.iterations, progress.width, progress.height)
        if progress.scale + 1 < progress.scales:
            reached += ", enlarged to %dx%d" % (width, height)
        return "the time budget of %g s allowed %d of %d iterations (%s)" % (
            self._options.time_budget,
            progress.total_iterations,
            progress.iterations * progress.scales,
            reached,
        )

    def _regions(
        self,
        content: FloatRgb,
        styles: Sequence[Rgb],
        weights: Sequence[float],
        coverage: Optional[FloatRgb],
    ) -> Tuple[List[List[Tuple[float, FloatRgb]]], Optional[FloatRgb]]:
        """The arguments ``regions`` and ``coverage`` of `Objective.prepare` for the content at one size."""
        options, (height, width) = self._options, content.shape[:2]
        resized = []
        for rgb in styles:
            rgb = images.center_crop(rgb, options.style_crop)
            longest = min(max(MIN_SIDE, round(max(height, width) * options.style_scale)), max(rgb.shape[:2]))
            rgb = images.resize(rgb, *images.fit_longest_side(rgb.shape[1], rgb.shape[0], longest))
            resized.append(_as_float(images.pad(rgb, 1, MIN_SIDE)))
        if coverage is None:
            return [list(zip(weights, resized))], None
        present = [n for n in range(len(resized)) if coverage[n + 1].any()]
        planes = [
            cv2.resize(
                images.pad(coverage[n + 1][..., None], 1, MIN_SIDE)[..., 0],
                (width, height),
                interpolation=cv2.INTER_AREA,
            )
            for n in present
        ]
        return [[(1.0, resized[n])] for n in present], np.stack(planes)

    def _initial_picture(self, content: FloatRgb, styles: Sequence[Rgb], initial: Optional[Rgb]) -> FloatRgb:
        """The picture to begin with, of the coarsest size."""
        options, (height, width) = self._options, content.shape[:2]
        rng = np.random.default_rng(options.seed)
        if initial is not None:
            picture = _resized(initial, height, width)
        elif options.init == "noise":
            return rng.random(content.shape, np.float32)
        else:
            picture = _resized(styles[0], height, width) if options.init == "style" else content
        return picture + np.float32(INITIAL_NOISE) * rng.standard_normal(content.shape).astype(np.float32)

    def _fit_memory(self, objective: Objective, height: int, width: int) -> Tuple[Optional[int], int]:
        """The longest side that is evaluated at once (None: everything), and how many pairs L-BFGS keeps, within
        ``max_memory``."""
        options, pixels = self._options, height * width
        memory = options.max_memory * 1e6 if options.max_memory else 0.8 * available_memory()
        memory -= BASE_MEMORY * 1e6
        picture = 12 * pixels  # bytes
        pair = 2 * picture  # a step and the gradient's change
        history = int(min(MAX_HISTORY, max(MIN_HISTORY, 0.3 * memory / pair)))
        rest = memory - history * pair - 10 * picture  # the picture, gradients, and NumPy's copies of them
        side = int(math.sqrt(max(0.0, rest) / objective.bytes_per_pixel()))
        if side >= max(height, width) or side**2 >= pixels:
            return None, history
        smallest = 2 * objective.receptive_radius() + 64
        if side < smallest:
            needed = MIN_HISTORY * pair + 10 * picture + smallest**2 * objective.bytes_per_pixel()
            raise OptionError(
                "a render of %dx%d needs at least %d MB, and max_memory allows %d; choose a smaller size, the network "
                "compact, or more memory"
                % (width, height, math.ceil(BASE_MEMORY + needed / 1e6), memory / 1e6 + BASE_MEMORY)
            )
        return side, history

    def picture(self, x: FloatRgb, content: Rgb, mask: Optional[NDArray[np.uint8]] = None) -> Rgb:
        """A `Progress`' ``x`` as a picture: uint8 ``[h, w, 3]`` of the content's size, with the colours that are to be
        kept, and the content where the mask is 0."""
        height, width = content.shape[:2]
        padded = images.pad(content, 1, MIN_SIDE)
        if x.shape != padded.shape:
            x = enlarged(x, _as_float(padded))
        rendered: Rgb = (np.clip(x[:height, :width], 0, 1) * 255.0 + 0.5).astype(np.uint8)
        if self._options.keep_colours == "luminance":
            rendered = colours.keep_luminance(content, rendered)
        if mask is not None:
            coverage = region_coverage_of(mask, content.shape, int(mask.max()), self._options.feather)
            unchanged = coverage[0][..., None]
            rendered = (unchanged * content + (1 - unchanged) * rendered + 0.5).astype(np.uint8)
        return rendered


class _Best:
    """The picture of a size that a render cut off there returns.

    The loss of L-BFGS never rises, so its last picture is the best.  Adam's average is calmer than its iterates, but
    lags far behind them if there were few: then the iterate of the lowest loss is better.
    """

    def __init__(self, options: RenderOptions) -> None:
        self._is_adam = options.optimizer == "adam"
        self._loss = math.inf
        self._x: Optional[FloatRgb] = None

    def add(self, iterate: optimizers.Iterate) -> None:
        if self._is_adam and iterate.value < self._loss:
            self._loss, self._x = iterate.value, iterate.evaluated

    def choose(self, last: FloatRgb) -> FloatRgb:
        return last if self._x is None else self._x


def region_coverage_of(
    mask: NDArray[np.uint8], shape: Sequence[int], styles: int, feather: float
) -> NDArray[np.float32]:
    """How much of every pixel of a content of this ``shape`` each label covers, 0..1; see `masks`."""
    coverage: NDArray[np.float32] = masks.coverages(masks.check(mask, shape[0], shape[1], styles), styles, feather)
    return coverage


def pyramid(height: int, width: int, scales: int) -> List[Tuple[int, int]]:
    """``[(height, width), ...]``: each size is half of the next, and the last as given.

    The first is at least `MIN_LONGEST_SIDE` long and `MIN_SIDE` wide.
    """
    sizes = [(height, width)]
    while len(sizes) < scales:
        half = (max(1, round(height / 2 ** len(sizes))), max(1, round(width / 2 ** len(sizes))))
        if max(half) < MIN_LONGEST_SIDE or min(half) < MIN_SIDE:
            break
        sizes.insert(0, half)
    return sizes


def enlarged(x: FloatRgb, content: FloatRgb) -> FloatRgb:
    """``x`` at the size of ``content``, with a part of the content's detail that a picture of its size cannot show."""
    height, width = content.shape[:2]
    enlarge: Callable[..., Any] = lambda rgb: cv2.resize(rgb, (width, height), interpolation=cv2.INTER_CUBIC)
    small_content = cv2.resize(content, x.shape[1::-1], interpolation=cv2.INTER_AREA)
    result: FloatRgb = enlarge(x) + np.float32(DETAIL_WEIGHT) * (content - enlarge(small_content))
    return result


def _as_float(rgb: Rgb) -> FloatRgb:
    return rgb.astype(np.float32) / np.float32(255)


def _resized(rgb: Rgb, height: int, width: int) -> FloatRgb:
    return _as_float(images.resize(rgb, width, height))
