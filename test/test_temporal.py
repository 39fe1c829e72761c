"""Temporal smoothing on scenes whose truth is known: noise, cuts, things that move."""

import cv2
import numpy as np
import pytest

from ros_style_transfer.errors import ImageError
from ros_style_transfer.transfer.temporal import TemporalSmoother


@pytest.fixture
def scene():
    """A textured still scene, uint8 ``[120,160,3]``."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 216, (15, 20, 3))
    return np.uint8(np.kron(coarse, np.ones((8, 8, 1), int)))


def noisy(picture, rng, sigma):
    return np.uint8(np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 255))


def follow(smoother, content, painted):
    smoother.warp(content)
    return smoother.blend(painted)


def changes(frames):
    """Root mean square of what changes from each frame to the next."""
    frames = np.float64(frames)
    return np.sqrt(np.mean((frames[1:] - frames[:-1]) ** 2))


def test_a_still_scene_flickers_less_and_is_as_bright(scene):
    rng = np.random.default_rng(1)
    smoother = TemporalSmoother(0.8)
    painted = [noisy(255 - scene, rng, 12) for _ in range(16)]
    smoothed = [follow(smoother, noisy(scene, rng, 2), frame) for frame in painted]
    assert changes(smoothed[4:]) < 0.5 * changes(painted[4:])
    assert np.abs(np.mean(smoothed[4:], 0) - np.mean(painted[4:], 0)).mean() < 4


def test_more_smoothing_flickers_less(scene):
    figures = []
    for smoothing in (0.2, 0.5, 1.0):
        rng = np.random.default_rng(1)
        smoother = TemporalSmoother(smoothing)
        figures.append(changes([follow(smoother, noisy(scene, rng, 1), noisy(scene, rng, 12)) for _ in range(12)][4:]))
    assert figures[0] > figures[1] > figures[2]


def test_a_cut_shows_the_new_scene_alone(scene):
    rng = np.random.default_rng(2)
    smoother = TemporalSmoother(1.0)
    for _ in range(4):
        follow(smoother, scene, 255 - scene)
    other = np.uint8(rng.integers(0, 256, scene.shape))
    fresh = np.uint8(rng.integers(0, 256, scene.shape))
    assert np.array_equal(follow(smoother, other, fresh), fresh)


def test_a_thing_that_moves_leaves_no_trail():
    smoother = TemporalSmoother(1.0)
    ground = np.full((120, 160, 3), 90, np.uint8)
    for step in range(12):
        content = ground.copy()
        content[40:70, 10 * step : 10 * step + 30] = 230
        painted = 255 - content
        smoothed = follow(smoother, content, painted)
        # Beyond a border of a few pixels every place shows what is there now.
        wrong = np.abs(np.int16(smoothed) - painted).max(2) > 40
        assert wrong.mean() < 0.02


def test_a_pan_is_followed(scene):
    wide = np.tile(scene, (1, 2, 1))
    smoother = TemporalSmoother(0.8)
    for step in range(10):
        content = wide[:, 4 * step : 4 * step + 160]
        smoothed = follow(smoother, np.ascontiguousarray(content), np.ascontiguousarray(255 - content))
    assert np.abs(np.int16(smoothed) - (255 - content)).mean() < 12  # standing still it would be 60 off
    assert np.abs(np.int16(255 - wide[:, :160]) - (255 - content)).mean() > 40


def test_without_smoothing_frames_remain_as_they_are(scene):
    painted = 255 - scene
    smoother = TemporalSmoother(0.0)
    for _ in range(3):
        assert np.array_equal(follow(smoother, scene, painted), painted)


def test_after_another_size_or_a_reset_the_next_frame_remains_as_it_is(scene):
    smoother = TemporalSmoother(1.0)
    follow(smoother, scene, 255 - scene)
    small, fresh = scene[:60, :80].copy(), np.full((60, 80, 3), 7, np.uint8)
    assert np.array_equal(follow(smoother, small, fresh), fresh)
    smoother.reset()
    assert np.array_equal(follow(smoother, small, 255 - fresh), 255 - fresh)


def detail(frame):
    """How much of a frame's contrast is finer than nine pixels."""
    return np.std(np.float32(frame) - cv2.blur(np.float32(frame), (9, 9)))


def test_smoothing_keeps_fine_detail(scene):
    rng = np.random.default_rng(3)
    wide = np.tile(cv2.resize(scene, (320, 240)), (1, 2, 1))
    strokes = noisy(wide, rng, 25)
    smoother = TemporalSmoother(0.5)
    for step in range(8):
        view = np.s_[:, 3 * step : 3 * step + 320]
        smoothed = follow(smoother, noisy(wide[view], rng, 2), np.ascontiguousarray(strokes[view]))
    assert 0.85 < detail(smoothed) / detail(strokes[view]) < 1.15


def test_values_stay_in_range_at_full_smoothing():
    """Contrast that is raised in each frame must not grow without bounds, nor wrap around."""
    rng = np.random.default_rng(4)
    content = np.uint8(rng.integers(0, 256, (120, 160, 3)))
    smoother = TemporalSmoother(1.0)
    for _ in range(20):
        black_and_white = np.uint8(rng.integers(0, 2, (120, 160, 1)) * 255).repeat(3, 2)
        smoothed = follow(smoother, content, black_and_white)
    assert abs(float(smoothed.mean()) - 127) < 30
    assert np.abs(np.int16(follow(smoother, content, smoothed)) - smoothed).mean() < 40


@pytest.mark.parametrize("size", [(1, 1), (7, 20), (20, 20), (33, 17)])
def test_tiny_and_flat_frames(size):
    smoother = TemporalSmoother(0.7)
    for value in (10, 12, 200):
        content = np.full((*size, 3), value, np.uint8)
        smoothed = follow(smoother, content, content)
        assert smoothed.shape == content.shape and smoothed.dtype == np.uint8


def test_frames_of_different_sizes_are_refused(scene):
    with pytest.raises(ImageError, match="160x120.*80x60"):
        follow(TemporalSmoother(0.5), scene, scene[::2, ::2].copy())
    with pytest.raises(ImageError, match="uint8"):
        follow(TemporalSmoother(0.5), scene, np.float32(scene))
