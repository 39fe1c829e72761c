"""The canvas under the input of the cascade."""

import numpy as np
import pytest
from conftest import draw_scene
from references import flatness

from ros_style_transfer.models import canvas

FIRST_VALUES = (1.41431, 1.07988, 0.94770, 0.84074)


def test_canvas_has_equal_power_per_octave_no_seam_and_constant_values():
    noise, side = canvas.canvas(), canvas.CANVAS_SIDE
    assert noise.dtype == np.float32 and noise.shape == (side, side)
    assert abs(noise.mean()) < 1e-3 and noise.std() == pytest.approx(1, abs=1e-3)
    assert np.array_equal(noise, canvas.canvas())
    # Weights are trained on these very numbers.
    assert np.allclose(noise[0, :4], FIRST_VALUES, atol=1e-4)
    power = np.abs(np.fft.fft2(noise)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    octaves = [power[(frequency >= low) & (frequency < 2 * low)].sum() / power.sum() for low in 2.0 ** -np.arange(2, 9)]
    assert octaves[0] < 0.01, "nothing finer than four pixels"
    assert all(fraction == pytest.approx(1 / 6, rel=0.5) for fraction in octaves[1:]), octaves
    steps = lambda a, b: np.abs(a - b).mean()
    assert steps(noise[0], noise[-1]) < 2 * steps(noise[1:], noise[:-1])


@pytest.mark.parametrize("down, across", [(1, 1), (1, 18), (24, 1)], ids=["small", "wider", "higher than the canvas"])
def test_canvas_layer_covers_flat_regions_and_repeats(down, across):
    picture = np.tile(draw_scene(64, 48).astype(np.float32) / 255, (down, across, 1))
    picture[:, :32] = 0.4
    ys, xs = (np.arange(side) % canvas.CANVAS_SIDE for side in picture.shape[:2])
    expected = canvas.canvas()[np.ix_(ys, xs)] * flatness(picture)
    for opacity in (1.0, 0.3):
        found = canvas.canvas_layer(picture, opacity)
        assert np.linalg.norm(found - opacity * expected) < 1e-3 * np.linalg.norm(expected)  # a variance from squares
    found = np.asarray(canvas.canvas_layer_graph(picture))
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)
