"""Minimising a function of a picture, one iterate at a time: L-BFGS and Adam, in plain numpy.

Both are generators: whoever asks for the next iterate can look at this one, or stop.
"""

import collections
from typing import Any, NamedTuple

import numpy as np

# Sufficient decrease (Armijo): this share of what the slope promises.
DECREASE = 1e-4
# Trials along one direction; each is shorter than the one before.
TRIALS = 8
# How far the very first step moves a value at most: nothing is known of the curvature yet.
FIRST_MOVE = 0.05
ADAM_BETAS = (0.9, 0.99)


class Evaluation(NamedTuple):
    """A function's value at a place, its gradient there, and what else it has to say."""

    value: float
    gradient: np.ndarray
    parts: Any = None


class Iterate(NamedTuple):
    """Where a minimiser stands.

    Attributes:
        x: the place, float32; a minimiser that averages gives the average.
        value, parts: what the function said of the newest place.
        gradient: the function's there.
        evaluations: how often it was asked so far.
        note: what went wrong on the way here and what was done about it; mostly empty.
    """

    x: np.ndarray
    value: float
    parts: Any
    gradient: np.ndarray
    evaluations: int
    note: str = ""


def lbfgs(x, evaluate, history=10, inverse=None):
    """Iterates of L-BFGS (Nocedal & Wright, algorithm 7.5) with backtracking; never ends by itself
    unless no step helps any more.

    A step that does not lower the value, or gives no number at all, is shortened; when that fails,
    too, the curvature is forgotten and steepest descent tried, and when even that fails it ends.

    Args:
        x: float32, any shape; where to start.
        evaluate: (x) to its `Evaluation`.
        history: how many pairs of steps and gradients' changes are kept.
        inverse: (vector) to about the inverse Hessian times it, if that is known.
    """
    here, evaluations, note = evaluate(x), 1, ""
    pairs = collections.deque(maxlen=history)
    if not _finite(here):
        return  # nothing to go on from
    while True:
        direction = -_times_inverse_hessian(here.gradient, pairs, inverse)
        slope = _dot(direction, here.gradient)
        if slope >= 0:
            if not pairs and inverse is None:
                return  # the gradient is zero
            pairs.clear()
            inverse = None
            continue
        known = pairs or inverse is not None
        step = 1.0 if known else min(1.0, FIRST_MOVE / np.abs(direction).max())
        for _ in range(TRIALS):
            there = evaluate(x + np.float32(step) * direction)
            evaluations += 1
            if not _finite(there):
                note, step = "a step gave no number and was shortened", step / 10
            elif there.value > here.value + DECREASE * step * slope:
                # Where the parabola through both values and the slope is lowest.
                lowest = -slope * step / (2 * (there.value - here.value - step * slope))
                step *= min(max(lowest, 0.1), 0.5)
            else:
                break
        else:
            if not pairs and inverse is None:
                return
            pairs.clear()
            inverse = None
            note = "no step along the direction helped; its curvature was forgotten"
            continue
        change, turn = np.float32(step) * direction, there.gradient - here.gradient
        curvature = _dot(change, turn)
        # A pair of no or negative curvature would make directions point uphill.
        if curvature > 1e-10 * _dot(turn, turn) ** 0.5 * _dot(change, change) ** 0.5:
            pairs.append((change, turn, 1.0 / curvature))
        x, here = x + change, there
        yield Iterate(x, here.value, here.parts, here.gradient, evaluations, note)
        note = ""


def adam(x, evaluate, rate=0.02, averaging=0.99):
    """Iterates of Adam (Kingma & Ba 2015); ends never.  A step into where there is no number is taken back
    and the rate halved.

    Args:
        rate: how far a value moves in a step, about.
        averaging: the share of the iterates' average that stays in a step; 0: the newest alone.
    """
    mean, square, average = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    first, second = ADAM_BETAS
    steps, evaluations, note, before = 0, 0, "", x
    while True:
        here = evaluate(x)
        evaluations += 1
        if not _finite(here):
            if rate < 1e-6:
                return
            x, rate, note = before, rate / 2, "a step gave no number and was taken back"
            mean, square, average, steps = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x), 0
            continue
        steps += 1
        before = x
        mean += (1 - first) * (here.gradient - mean)
        square += (1 - second) * (here.gradient**2 - square)
        root = np.sqrt(square / (1 - second**steps))
        # No gradient, no step: a floor relative to the rest keeps noise from being taken for slopes.
        root = root + np.float32(1e-6) * root.max() + np.float32(1e-30)
        x = x - np.float32(rate) * mean / (1 - first**steps) / root
        average += (1 - averaging) * (x - average)
        yield Iterate(
            average / np.float32(1 - averaging**steps), here.value, here.parts, here.gradient, evaluations, note
        )
        note = ""


def _times_inverse_hessian(gradient, pairs, inverse):
    """The two-loop recursion."""
    q, shares = gradient.copy(), []
    for change, turn, scale in reversed(pairs):
        shares.append(scale * _dot(change, q))
        q -= np.float32(shares[-1]) * turn
    if inverse is not None:
        q = inverse(q)
    if pairs:
        change, turn, scale = pairs[-1]
        q *= np.float32(1.0 / (scale * _dot(turn, turn if inverse is None else inverse(turn))))
    for (change, turn, scale), share in zip(pairs, reversed(shares)):
        q += np.float32(share - scale * _dot(turn, q)) * change
    return q


def _dot(a, b):
    return float(np.dot(a.ravel(), b.ravel()))


def _finite(evaluation):
    return bool(np.isfinite(evaluation.value) and np.isfinite(evaluation.gradient).all())
