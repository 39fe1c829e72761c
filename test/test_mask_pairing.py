"""Frames and masks find each other by their stamps, and frames go on without masks."""

import pytest

from ros_style_transfer.ros_common.mask_pairing import MASK_TIMEOUT, QUEUE_SIZE, MaskPairing


class Pairing(MaskPairing):
    """A pairing with a clock that the test sets, and what it has put."""

    def __init__(self, tolerance=0.1):
        self.now, self.pairs = 0.0, []
        super().__init__(lambda *pair: self.pairs.append(pair), tolerance, lambda: self.now)


@pytest.mark.parametrize("mask_first", [True, False])
def test_a_frame_gets_the_nearest_mask_whichever_comes_first(mask_first):
    pairing = Pairing()
    frame = lambda: pairing.add_frame(1.0, "frame")
    masks = lambda: [pairing.add_mask(stamp, "mask %g" % stamp) for stamp in ((0.9, 1.02) if mask_first else (1.02,))]
    for step in (masks, frame) if mask_first else (frame, masks):
        step()
    assert pairing.pairs == [("frame", "mask 1.02")]


def test_a_mask_that_is_too_far_away_is_not_taken():
    pairing = Pairing(tolerance=0.1)
    pairing.add_mask(1.2, "mask")
    pairing.add_frame(1.0, "frame")
    assert pairing.pairs == []


def test_a_slow_mask_makes_the_stream_late_but_not_jump_back():
    pairing = Pairing(tolerance=0.01)
    for stamp in (1.0, 1.1, 1.2):
        pairing.add_frame(stamp, stamp)
    pairing.add_mask(1.1, "b")
    pairing.add_mask(1.0, "a")  # its frame is older than one that was painted
    pairing.add_mask(1.2, "c")
    assert pairing.pairs == [(1.1, "b"), (1.2, "c")]


def test_without_masks_frames_go_on_after_a_second():
    pairing = Pairing()
    for tick in range(20):
        pairing.now = tick / 10
        pairing.add_frame(pairing.now, tick)
    assert [mask for _, mask in pairing.pairs] == [None] * len(pairing.pairs)
    assert [frame for frame, _ in pairing.pairs] == list(range(int(10 * MASK_TIMEOUT) + 1, 20))
    pairing.add_mask(pairing.now, "mask")
    pairing.now += 0.1
    pairing.add_mask(pairing.now, "mask")
    pairing.add_frame(pairing.now, "masked")
    assert pairing.pairs[-1] == ("masked", "mask")


def test_a_clip_that_restarts_is_paired_anew():
    pairing = Pairing(tolerance=0.01)
    pairing.add_frame(9.0, "old")
    pairing.add_frame(0.0, "new")
    pairing.add_mask(9.0, "old mask")
    assert pairing.pairs == []
    pairing.add_mask(0.0, "new mask")
    assert pairing.pairs == [("new", "new mask")]


def test_what_waits_is_bounded():
    pairing = Pairing()
    for stamp in range(100):
        pairing.add_mask(float(stamp), stamp)
    assert len(pairing._masks) == QUEUE_SIZE
