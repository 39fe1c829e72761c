"""The time budget of a render, on a clock that the tests move: kept, and spent where it helps most."""

import pytest

from ros_style_transfer.render.schedule import FINISH_SECONDS, FINISH_SECONDS_PER_PIXEL, START_COST, Schedule, TimeUp

SIZES = [100, 400, 1600]  # pixels


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def simulate(budget, seconds_per_pixel=0.001, iterations=80, startup=0.0, evaluations=1, pause=0.0):
    """Render by a `Schedule`: ``{size: iterations}``, the seconds that it took, and the schedule.

    Args:
        evaluations: of every iteration.
        pause: seconds that the first evaluation takes in addition, for tracing.
    """
    clock = Clock()
    schedule = Schedule(SIZES, iterations, budget, clock.now, clock)
    clock.now += startup
    counts = {}
    for scale, pixels in enumerate(SIZES):
        schedule.begin_size(scale)
        counts[pixels] = 0
        try:
            while counts[pixels] < iterations:
                for _ in range(evaluations):
                    schedule.check_time()
                    clock.now += pixels * seconds_per_pixel + pause
                    pause = 0.0
                schedule.record_iteration()
                counts[pixels] += 1
                if schedule.size_is_over():
                    break
        except TimeUp:
            pass
        if not schedule.allows_next_size():
            break
        clock.now += START_COST * SIZES[scale + 1] * seconds_per_pixel
    return counts, clock.now - 1000.0, schedule


def test_without_a_budget_every_iteration_is_made():
    counts, _, schedule = simulate(0.0)
    assert list(counts.values()) == [80, 80, 80] and not schedule.cut


def test_a_budget_that_suffices_cuts_nothing():
    counts, seconds, schedule = simulate(1000.0)
    assert list(counts.values()) == [80, 80, 80] and not schedule.cut and seconds < 1000


@pytest.mark.parametrize("budget", [2.0, 5.0, 20.0, 60.0, 120.0])
@pytest.mark.parametrize("startup", [0.0, 1.5])
@pytest.mark.parametrize("evaluations", [1, 7])
def test_a_budget_is_kept_and_used(budget, startup, evaluations):
    counts, seconds, schedule = simulate(budget, startup=startup, evaluations=evaluations, pause=0.3)
    first_iteration = startup + 0.3 + evaluations * 0.1  # is always made
    assert seconds <= max(budget - FINISH_SECONDS, first_iteration) + 1e-6
    assert schedule.cut and counts[SIZES[0]] >= 1
    # The rest would not suffice for another iteration.
    assert budget - seconds < FINISH_SECONDS + 0.01 + (evaluations + 3) * max(counts) * 0.001 * 1.5


def test_all_sizes_have_their_part_of_a_moderate_budget():
    counts, _, _ = simulate(60.0)
    assert counts[1600] >= 15 and all(count >= 3 for count in counts.values())


def test_a_size_for_which_the_time_does_not_suffice_is_not_begun():
    """On a busy machine one iteration of each size would be left: a picture that looks like the content with noise."""
    counts, _, schedule = simulate(8.0, seconds_per_pixel=0.002, startup=2.0)
    assert list(counts) == [100, 400] and counts[400] >= 3 and schedule.cut


def test_a_render_that_has_no_time_left_makes_one_iteration():
    counts, _, schedule = simulate(5.0, startup=60.0)
    assert counts == {100: 1} and schedule.cut


def test_the_remaining_time_is_estimated_and_never_more_than_the_budget_leaves():
    clock = Clock()
    schedule = Schedule([100, 400], 10, 100.0, clock.now, clock)
    schedule.begin_size(0)
    clock.now += 1.0
    schedule.record_iteration()
    assert schedule.remaining() == pytest.approx(9 * 1.0 + 10 * 4.0)
    clock.now += 95.0
    assert schedule.remaining() == pytest.approx(4.0 - FINISH_SECONDS - 400 * FINISH_SECONDS_PER_PIXEL)
