"""The canvas that the cascade paints on."""

import numpy as np
import pytest
from conftest import draw_scene
from references import evenness

from ros_style_transfer.models import canvas

CANVAS_BEGINS = (1.41431, 1.07988, 0.94770, 0.84074)


def test_canvas_is_noise_of_strokes_sizes_without_a_seam_and_always_the_same():
    grain, side = canvas.canvas(), canvas.CANVAS_SIDE
    assert grain.dtype == np.float32 and grain.shape == (side, side)
    assert abs(grain.mean()) < 1e-3 and grain.std() == pytest.approx(1, abs=1e-3)
    assert np.array_equal(grain, canvas.canvas())
    # Weights are trained on these very numbers.
    assert np.allclose(grain[0, :4], CANVAS_BEGINS, atol=1e-4)
    power = np.abs(np.fft.fft2(grain)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    octaves = [power[(frequency >= low) & (frequency < 2 * low)].sum() / power.sum() for low in 2.0 ** -np.arange(2, 9)]
    assert octaves[0] < 0.01, "nothing finer than four pixels"
    assert all(share == pytest.approx(1 / 6, rel=0.5) for share in octaves[1:]), octaves
    steps = lambda a, b: np.abs(a - b).mean()
    assert steps(grain[0], grain[-1]) < 2 * steps(grain[1:], grain[:-1])


@pytest.mark.parametrize("down, across", [(1, 1), (1, 18), (24, 1)], ids=["small", "wider", "higher than the canvas"])
def test_canvas_shows_where_a_picture_is_even_and_repeats(down, across):
    picture = np.tile(draw_scene(64, 48).astype(np.float32) / 255, (down, across, 1))
    picture[:, :32] = 0.4
    ys, xs = (np.arange(side) % canvas.CANVAS_SIDE for side in picture.shape[:2])
    expected = canvas.canvas()[np.ix_(ys, xs)] * evenness(picture)
    for share in (1.0, 0.3):
        found = canvas.ground(picture, share)
        assert np.linalg.norm(found - share * expected) < 1e-3 * np.linalg.norm(expected)  # a variance from squares
    found = np.asarray(canvas.ground_in_graph(picture))
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)
