"""The optimizers, on functions whose minimum is known."""

import itertools

import numpy as np
import pytest

from ros_style_transfer.render import optimizers, preconditioner
from ros_style_transfer.render.optimizers import Evaluation


def bowl(x):
    """A narrow bowl around 3 in ten directions, 1 to 1000 times as steep."""
    steepness = np.geomspace(1, 1000, 10).astype(np.float32)
    return Evaluation(float((steepness * (x - 3) ** 2).sum()), 2 * steepness * (x - 3))


def rosenbrock(x):
    a, b = float(x[0]), float(x[1])
    return Evaluation(
        (1 - a) ** 2 + 100 * (b - a * a) ** 2,
        np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)], np.float32),
    )


def last(iterates, count):
    return list(itertools.islice(iterates, count))[-1]


def test_lbfgs_finds_the_minimum_of_a_narrow_bowl():
    found = last(optimizers.lbfgs(np.zeros(10, np.float32), bowl), 60)
    assert np.abs(found.x - 3).max() < 1e-2


def test_lbfgs_follows_a_bent_valley():
    found = last(optimizers.lbfgs(np.array([-1.2, 1.0], np.float32), rosenbrock), 80)
    assert np.abs(found.x - 1).max() < 1e-2
    assert found.evaluations < 160


def test_lbfgs_never_climbs():
    values = [it.value for it in itertools.islice(optimizers.lbfgs(np.array([-1.2, 1.0], np.float32), rosenbrock), 60)]
    assert all(after <= before for before, after in zip(values, values[1:]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_place_without_a_number_is_stepped_back_from(bad):
    def cliff(x):
        there = bowl(x)
        return there if x.max() < 6 else Evaluation(bad, there.gradient)

    iterates = list(itertools.islice(optimizers.lbfgs(np.full(10, -2, np.float32), cliff), 80))
    assert np.abs(iterates[-1].x - 3).max() < 0.05
    iterates = list(itertools.islice(optimizers.adam(np.full(10, -2, np.float32), cliff, 4.0, 0.0), 300))
    assert any("taken back" in it.note for it in iterates)
    assert iterates[-1].value < 0.1 * iterates[0].value


def test_a_bad_start_ends_it_at_once():
    assert not list(optimizers.lbfgs(np.zeros(3, np.float32), lambda x: Evaluation(np.nan, x)))


def test_a_flat_function_ends_lbfgs():
    assert not list(optimizers.lbfgs(np.zeros(3, np.float32), lambda x: Evaluation(1.0, np.zeros_like(x))))


def test_a_lying_gradient_ends_lbfgs_instead_of_going_on_for_ever():
    assert (
        len(
            list(
                itertools.islice(
                    optimizers.lbfgs(np.ones(3, np.float32), lambda x: Evaluation(float((x**2).sum()), -2 * x)), 50
                )
            )
        )
        < 50
    )


def test_a_wrong_inverse_hessian_is_dropped_and_does_no_harm():
    found = last(optimizers.lbfgs(np.zeros(10, np.float32), bowl, inverse=lambda v: -v), 60)
    assert np.abs(found.x - 3).max() < 1e-2


def test_adam_finds_the_minimum_and_its_average_is_calmer():
    rng = np.random.default_rng(0)

    def noisy(x):
        there = bowl(x)
        return Evaluation(there.value, there.gradient + rng.normal(0, 20, 10).astype(np.float32))

    newest = [it.x for it in itertools.islice(optimizers.adam(np.zeros(10, np.float32), noisy, 0.1, 0.0), 600)][-100:]
    mean = [it.x for it in itertools.islice(optimizers.adam(np.zeros(10, np.float32), noisy, 0.1, 0.98), 600)][-100:]
    assert np.abs(np.mean(mean, 0) - 3)[3:].max() < 0.1
    assert np.std(mean, 0)[3:].mean() < 0.5 * np.std(newest, 0)[3:].mean()


def test_the_spectrum_is_that_of_a_known_filter():
    """``|K x|^2 / (2 n)`` has the Hessian ``|k(f)|^2 / n`` at the frequency f."""
    height, width = 96, 80
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    power = (0.2 + 5 * np.exp(-((frequency / 0.2) ** 2)))[..., None]

    def loss(x):
        filtered = np.fft.irfft2(np.fft.rfft2(x, axes=(0, 1)) * power, (height, width), axes=(0, 1))
        return Evaluation(float((x * filtered).sum() / 2 / height / width), np.float32(filtered / height / width))

    zeros = np.zeros((height, width, 3), np.float32)
    measured = preconditioner.estimate_hessian(loss, zeros, loss(zeros).gradient)
    at = (np.arange(preconditioner.RINGS) + 0.5) / preconditioner.RINGS * np.sqrt(0.5)
    expected = 0.2 + 5 * np.exp(-((at / 0.2) ** 2))
    assert np.allclose(np.diagonal(measured, axis1=1, axis2=2)[2:-2], expected[2:-2, None], rtol=0.15)
    # With it the first step of L-BFGS is nearly the last, also at another size.
    x = np.random.default_rng(1).standard_normal((height, width, 3)).astype(np.float32)
    found = last(optimizers.lbfgs(x, loss, inverse=preconditioner.inverse_hessian(measured, height, width)), 3)
    assert found.value < 1e-3 * loss(x).value


def test_a_loss_without_curvature_has_no_spectrum():
    x = np.zeros((40, 40, 3), np.float32)
    assert preconditioner.estimate_hessian(lambda x: Evaluation(0.0, np.ones_like(x)), x, np.ones_like(x)) is None
    assert preconditioner.estimate_hessian(lambda x: Evaluation(0.0, np.full_like(x, np.nan)), x, x) is None
