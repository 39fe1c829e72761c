"""Minimization of a function of a picture, one iterate at a time: L-BFGS and Adam, in plain NumPy.

Both are generators, so that the caller can look at each iterate, or stop.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Callable, Deque, Iterator, NamedTuple, Optional, Tuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
    Pair = Tuple[Vector, Vector, float]  # a step, the gradient's change along it, and 1 / their product

# Sufficient decrease (Armijo's condition): this fraction of what the slope predicts.
SUFFICIENT_DECREASE = 1e-4
MAX_TRIALS = 8  # along one direction, each shorter than the one before
FIRST_STEP = 0.05  # the largest change of a value in the very first step, when the curvature is unknown
ADAM_BETAS = (0.9, 0.99)
MIN_RATE = 1e-6  # Adam gives up below it


class Evaluation(NamedTuple):
    """A function's value at a point, its gradient there, and the value's parts, if it has any."""

    value: float
    gradient: Vector
    parts: Any = None


class Iterate(NamedTuple):
    """The state of an optimizer.

    Attributes:
        x: the point, float32; the average of the points if the optimizer averages.
        value, parts, gradient: the function's at the newest point that was evaluated.
        evaluations: of the function so far.
        evaluated: the newest point that was evaluated.
        note: a problem on the way to this point, and how it was handled; usually empty.
    """

    x: Vector
    value: float
    parts: Any
    gradient: Vector
    evaluations: int
    evaluated: Vector
    note: str = ""


Function = Callable[[Any], Evaluation]
Linear = Callable[[Any], Any]


def lbfgs(x: Vector, evaluate: Function, history: int = 10, inverse: Optional[Linear] = None) -> Iterator[Iterate]:
    """The iterates of L-BFGS (Nocedal & Wright, algorithm 7.5) with backtracking; ends only if no step helps any more.

    A step that does not lower the value, or whose value is not finite, is shortened.  If that fails, too, the
    curvature is discarded and steepest descent tried; if even that fails, the iteration ends.

    Args:
        x: where to start, float32, of any shape.
        evaluate: the function.
        history: how many pairs of steps and changes of the gradient are kept.
        inverse: multiplies a vector by an estimate of the inverse Hessian; None: there is no estimate.
    """
    current, evaluations, note = evaluate(x), 1, ""
    pairs: Deque[Pair] = collections.deque(maxlen=history)
    if not _is_finite(current):
        return
    while True:
        direction = -_times_inverse_hessian(current.gradient, pairs, inverse)
        slope = _dot(direction, current.gradient)
        if slope >= 0:
            if not pairs and inverse is None:
                return  # the gradient is zero
            pairs.clear()
            inverse = None
            continue
        has_curvature = pairs or inverse is not None
        step = 1.0 if has_curvature else min(1.0, FIRST_STEP / np.abs(direction).max())
        for _ in range(MAX_TRIALS):
            trial = evaluate(x + np.float32(step) * direction)
            evaluations += 1
            if not _is_finite(trial):
                note, step = "the loss was not finite after a step, which was shortened", step / 10
            elif trial.value > current.value + SUFFICIENT_DECREASE * step * slope:
                # The minimum of the parabola through both values and the slope.
                minimum = -slope * step / (2 * (trial.value - current.value - step * slope))
                step *= min(max(minimum, 0.1), 0.5)
            else:
                break
        else:
            if not pairs and inverse is None:
                return
            pairs.clear()
            inverse = None
            note = "no step along the direction lowered the loss; the curvature was discarded"
            continue
        change, gradient_change = np.float32(step) * direction, trial.gradient - current.gradient
        product = _dot(change, gradient_change)
        # A pair of no or negative curvature would make directions point uphill.
        if product > 1e-10 * _dot(gradient_change, gradient_change) ** 0.5 * _dot(change, change) ** 0.5:
            pairs.append((change, gradient_change, 1.0 / product))
        x, current = x + change, trial
        yield Iterate(x, current.value, current.parts, current.gradient, evaluations, x, note)
        note = ""


def adam(x: Vector, evaluate: Function, rate: float = 0.02, averaging: float = 0.99) -> Iterator[Iterate]:
    """The iterates of Adam (Kingma & Ba 2015), without end.  If the loss is not finite after a step, the step is
    taken back and the rate halved.

    Args:
        x: where to start, float32, of any shape.
        evaluate: the function.
        rate: about how far a value moves in a step.
        averaging: the fraction of the average of all iterates that remains after a step; 0: no averaging.
    """
    mean, square, average = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    first, second = ADAM_BETAS
    steps, evaluations, note, previous = 0, 0, "", x
    while True:
        current = evaluate(x)
        evaluations += 1
        if not _is_finite(current):
            if rate < MIN_RATE:
                return
            x, rate, note = previous, rate / 2, "the loss was not finite after a step, which was taken back"
            mean, square, average, steps = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x), 0
            continue
        steps += 1
        previous = x
        mean += (1 - first) * (current.gradient - mean)
        square += (1 - second) * (current.gradient**2 - square)
        root = np.sqrt(square / (1 - second**steps))
        # Where the gradient is only noise, no step is taken: hence a floor relative to the largest gradient.
        root = root + np.float32(1e-6) * root.max() + np.float32(1e-30)
        x = x - np.float32(rate) * mean / (1 - first**steps) / root
        average += (1 - averaging) * (x - average)
        unbiased = average / np.float32(1 - averaging**steps)
        yield Iterate(unbiased, current.value, current.parts, current.gradient, evaluations, previous, note)
        note = ""


def _times_inverse_hessian(gradient: Vector, pairs: Deque[Pair], inverse: Optional[Linear]) -> Vector:
    """The two-loop recursion."""
    q, factors = gradient.copy(), []
    for change, gradient_change, scale in reversed(pairs):
        factors.append(scale * _dot(change, q))
        q -= np.float32(factors[-1]) * gradient_change
    if inverse is not None:
        q = inverse(q)
    if pairs:
        _, gradient_change, scale = pairs[-1]
        preconditioned = gradient_change if inverse is None else inverse(gradient_change)
        q *= np.float32(1.0 / (scale * _dot(gradient_change, preconditioned)))
    for (change, gradient_change, scale), factor in zip(pairs, reversed(factors)):
        q += np.float32(factor - scale * _dot(gradient_change, q)) * change
    return q


def _dot(a: Vector, b: Vector) -> float:
    return float(np.dot(a.ravel(), b.ravel()))


def _is_finite(evaluation: Evaluation) -> bool:
    return bool(np.isfinite(evaluation.value) and np.isfinite(evaluation.gradient).all())
