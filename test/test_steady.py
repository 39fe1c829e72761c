"""Steady video on scenes whose truth is known: noise, cuts, things that move."""

import numpy as np
import pytest

from ros_style_transfer.errors import ImageError
from ros_style_transfer.transfer.temporal import Steady


@pytest.fixture
def scene():
    """A textured still scene, uint8 ``[120,160,3]``."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 216, (15, 20, 3))
    return np.uint8(np.kron(coarse, np.ones((8, 8, 1), int)))


def noisy(picture, rng, sigma):
    return np.uint8(np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 255))


def follow(steady, content, painted):
    steady.see(content)
    return steady.keep(painted)


def changes(frames):
    """Root mean square of what changes from each frame to the next."""
    frames = np.float64(frames)
    return np.sqrt(np.mean((frames[1:] - frames[:-1]) ** 2))


def test_a_still_scene_is_painted_steadier_and_as_bright(scene):
    rng = np.random.default_rng(1)
    steady = Steady(0.8)
    painted = [noisy(255 - scene, rng, 12) for _ in range(16)]
    steadied = [follow(steady, noisy(scene, rng, 2), frame) for frame in painted]
    assert changes(steadied[4:]) < 0.5 * changes(painted[4:])
    assert np.abs(np.mean(steadied[4:], 0) - np.mean(painted[4:], 0)).mean() < 4


def test_more_smoothing_is_steadier(scene):
    figures = []
    for smoothing in (0.2, 0.5, 1.0):
        rng = np.random.default_rng(1)
        steady = Steady(smoothing)
        figures.append(changes([follow(steady, noisy(scene, rng, 1), noisy(scene, rng, 12)) for _ in range(12)][4:]))
    assert figures[0] > figures[1] > figures[2]


def test_a_cut_shows_the_new_scene_alone(scene):
    rng = np.random.default_rng(2)
    steady = Steady(1.0)
    for _ in range(4):
        follow(steady, scene, 255 - scene)
    other = np.uint8(rng.integers(0, 256, scene.shape))
    fresh = np.uint8(rng.integers(0, 256, scene.shape))
    assert np.array_equal(follow(steady, other, fresh), fresh)


def test_a_thing_that_moves_leaves_no_trail():
    steady = Steady(1.0)
    ground = np.full((120, 160, 3), 90, np.uint8)
    for step in range(12):
        content = ground.copy()
        content[40:70, 10 * step : 10 * step + 30] = 230
        painted = 255 - content
        steadied = follow(steady, content, painted)
        # Beyond a border of a few pixels every place shows what is there now.
        wrong = np.abs(np.int16(steadied) - painted).max(2) > 40
        assert wrong.mean() < 0.02


def test_a_pan_is_followed(scene):
    wide = np.tile(scene, (1, 2, 1))
    steady = Steady(0.8)
    for step in range(10):
        content = wide[:, 4 * step : 4 * step + 160]
        steadied = follow(steady, np.ascontiguousarray(content), np.ascontiguousarray(255 - content))
    assert np.abs(np.int16(steadied) - (255 - content)).mean() < 12  # standing still it would be 60 off
    assert np.abs(np.int16(255 - wide[:, :160]) - (255 - content)).mean() > 40


def test_off_touches_nothing(scene):
    painted = 255 - scene
    steady = Steady(0.0)
    for _ in range(3):
        assert np.array_equal(follow(steady, scene, painted), painted)


def test_another_size_or_a_reset_begins_anew(scene):
    steady = Steady(1.0)
    follow(steady, scene, 255 - scene)
    small, fresh = scene[:60, :80].copy(), np.full((60, 80, 3), 7, np.uint8)
    assert np.array_equal(follow(steady, small, fresh), fresh)
    steady.reset()
    assert np.array_equal(follow(steady, small, 255 - fresh), 255 - fresh)


@pytest.mark.parametrize("size", [(1, 1), (7, 20), (20, 20), (33, 17)])
def test_tiny_and_flat_frames_are_nothing_special(size):
    steady = Steady(0.7)
    for value in (10, 12, 200):
        content = np.full((*size, 3), value, np.uint8)
        steadied = follow(steady, content, content)
        assert steadied.shape == content.shape and steadied.dtype == np.uint8


def test_frames_that_do_not_belong_together_are_refused(scene):
    with pytest.raises(ImageError, match="160x120.*80x60"):
        follow(Steady(0.5), scene, scene[::2, ::2].copy())
    with pytest.raises(ImageError, match="uint8"):
        follow(Steady(0.5), scene, np.float32(scene))
