"""Parts of videos: where they meet, nothing is seen of it."""

import numpy as np
import pytest
from conftest import draw_scene

from ros_style_transfer.cli import inputs, job_runner, workers
from ros_style_transfer.cli import main as cli
from ros_style_transfer.media import video
from ros_style_transfer.transfer.temporal import MAX_WEIGHT

FRAMES = 60


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A camera that pans over a scene, with noise."""
    path, scene = str(tmp_path_factory.mktemp("clip") / "clip.avi"), draw_scene(160, 64, 5)
    rng = np.random.default_rng(0)
    with video.Writer(path, 10) as writer:
        for number in range(FRAMES):
            frame = scene[:, number : number + 96] + rng.normal(0, 3, (64, 96, 3))
            writer.write(np.uint8(np.clip(frame, 0, 255)))
    return path


def stylized(clip, tmp_path, first, stop, *options):
    """The frames of a part."""
    arguments = ["stylize", clip, "--style", "mosaic", "--model", "lite", "--precision", "float32", *options]
    args = cli.parser().parse_args([*arguments, "-o", str(tmp_path / "out.avi")])
    (job,) = inputs.plan_jobs(args)
    runner = job_runner.JobRunner(args, {}, None, None, print, True)
    part = workers.Part(job, str(tmp_path / ("%d.mkv" % first)), first, stop, 0)
    assert runner(part) == (stop or FRAMES) - first
    with video.Reader(part.path) as reader:
        return np.float32(list(reader))


@pytest.mark.slow
@pytest.mark.parametrize("smoothing, first", [("0", 31), ("0.5", 30), ("0.8", 30)])
def test_a_part_begins_as_the_whole_video_goes_on(clip, tmp_path, smoothing, first):
    assert workers.lead(float(smoothing)) < first, "or the part would begin at the first frame"
    whole = stylized(clip, tmp_path, 0, None, "--smoothing", smoothing)
    part = stylized(clip, tmp_path, first, None, "--smoothing", smoothing)
    if smoothing == "0":
        assert (part == whole[first:]).all()
    else:
        errors = ((part - whole[first:]) ** 2).mean((1, 2, 3))
        assert 10 * np.log10(255**2 / errors.max()) >= 45


@pytest.mark.slow
def test_styles_that_change_in_a_video_change_in_its_parts(clip, tmp_path):
    options = ("--style", "mosaic", "woodcut", "--cycle", "1.3", "--fade", "0.6")
    whole, part = stylized(clip, tmp_path, 0, None, *options), stylized(clip, tmp_path, 28, 50, *options)
    assert (part == whole[28:50]).all()


@pytest.mark.parametrize("smoothing", [0.1, 0.5, 1.0])
def test_the_lead_follows_the_smoothing(smoothing):
    assert workers.lead(0) == 0
    kept = MAX_WEIGHT * smoothing
    assert kept * 0.02 < kept ** workers.lead(smoothing) <= 0.02
