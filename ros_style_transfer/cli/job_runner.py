"""Jobs of the command ``stylize``, done one after another with the same model: here, or in a worker."""

import argparse
import functools
import itertools
import os
import shutil
import time
from typing import Any, Callable, Dict, List, Optional

import numpy as np
from tqdm import tqdm

from ..media import images, video
from . import inputs, workers
from .common import controls_of, parse_size, read_mask

TEXTURE_PASSES = 3  # enough to turn noise into a texture


class JobRunner:
    """Stylizes one job after another with the same model.

    Args:
        args: the command line, checked.
        options: what results depend on, see `inputs.result_options`.
        choice: the precision; None: that of the command line.
        max_memory: megabytes of this process; None: that of the command line.
        notify: called with sentences for the user.
        in_worker: answer to long videos with their parts, and show no progress.

    Attributes:
        choice: the precision, never ``auto``.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        options: Dict[str, Any],
        choice: Optional[str],
        max_memory: Optional[float],
        notify: Callable[[str], Any],
        in_worker: bool,
    ) -> None:
        from ..stylizer import Stylizer  # TensorFlow's import takes seconds, so every check comes before it

        self._args, self._options, self._notify, self._in_worker = args, options, notify, in_worker
        self._controls = controls_of(args)
        self._read_style = functools.lru_cache(maxsize=16)(images.read)  # most jobs share styles
        self._read_mask = functools.lru_cache(maxsize=16)(functools.partial(read_mask, args.mask))
        self._clock = VideoClock()
        self._stylizer = Stylizer(
            args.model,
            choice or args.precision,
            args.weights_dir,
            self._clock,
            args.max_memory if max_memory is None else max_memory,
        )
        self.choice = self._stylizer.precision

    def __call__(self, unit: Any) -> Any:
        """Do a unit of `workers.run`; returns the number of frames that it had, or `workers.Divided`."""
        if isinstance(unit, workers.Join):
            return join_video(unit)
        if isinstance(unit, workers.Part):
            return self._stylize(unit.whole, unit)
        if self._in_worker and unit.is_video():
            divided = divide_video(self._args, self._options, unit)
            if divided:
                return divided
        return self._stylize(unit)

    def _stylize(self, job: inputs.Job, part: Optional[workers.Part] = None) -> int:
        """Returns the number of pictures or frames that were written."""
        args, controls, mask = self._args, self._controls, self._read_mask(len(job.styles))
        style_side = round(job.style_side * max(1.0, controls.style_scale))  # the stylizer never upscales a style
        styles = [images.resize_longest_side(self._read_style(path), style_side) for path in job.styles]
        if styles:
            self._stylizer.set_styles(styles[:1] if args.cycle else styles, args.style_weights)
        if job.is_video():
            return self._stylize_video(job, styles, mask, part)
        controls, alpha = controls._replace(smoothing=0.0), None  # only videos are smoothed
        if job.content is None:
            if args.passes is None:
                controls = controls._replace(passes=TEXTURE_PASSES)
            painted = self._stylizer.texture(*parse_size(args.texture, "--texture"), args.seed or 0, controls)
        else:
            rgb, alpha = images.read_with_alpha(job.content, job.side)
            rgb = images.resize_longest_side(rgb, job.side)
            alpha = None if alpha is None else images.resize_longest_side(alpha, job.side)
            with Progress(os.path.basename(job.output), self._in_worker) as progress:
                painted = self._stylizer.stylize(rgb, controls, mask, progress=progress)
        if args.concat:
            width = painted.shape[1]
            painted = images.concat(styles, painted)
            if alpha is not None:
                alpha = np.pad(alpha, ((0, 0), (painted.shape[1] - width, 0)), constant_values=255)
        images.write_or_rescue(job.output, painted, alpha)
        return 1

    def _stylize_video(
        self, job: inputs.Job, styles: List[np.ndarray], mask: Optional[np.ndarray], part: Optional[workers.Part]
    ) -> int:
        """Stylize a video, a part of it, or a webcam frame by frame; with ``--cycle``, in one style after another."""
        args, clock = self._args, self._clock
        webcam = video.webcam_number(job.content) is not None and not os.path.isfile(str(job.content))
        first, stop = (part.first, part.stop or args.frames) if part else (0, args.frames)
        begin = max(0, first - workers.lead(self._controls.smoothing))
        output, codec = (part.path, video.LOSSLESS_CODEC) if part else (job.output, None)
        shown, written, started = 0, 0, time.monotonic()
        self._stylizer.reset()
        try:
            with video.Reader(job.content) as reader, video.Writer(output, reader.fps, codec) as writer:
                total = inputs.frame_count(args, reader)
                frames = tqdm(
                    itertools.islice(reader, stop),
                    total=total,
                    unit="frame",
                    desc=os.path.basename(job.output),
                    disable=self._in_worker,
                )
                for number, rgb in enumerate(frames):
                    clock.now = time.monotonic() - started if webcam else number / reader.fps
                    if args.cycle and int(clock.now / args.cycle) != shown:
                        shown = int(clock.now / args.cycle)
                        self._stylizer.set_style(
                            styles[shown % len(styles)], min(1.0, args.cycle) if args.fade is None else args.fade
                        )
                    if number < begin:  # it belongs to an earlier part
                        continue
                    rgb = images.resize_longest_side(rgb, job.side)
                    painted = self._stylizer.stylize(rgb, self._controls, mask)
                    if number < first:  # only for the smoothing of those that follow
                        continue
                    if args.concat:
                        painted = images.concat(styles, painted)
                    # A webcam does not wait: each frame is repeated for as long as it took.
                    for _ in range(max(1, round(clock.now * reader.fps) - written) if webcam else 1):
                        writer.write(painted)
                        written += 1
                if part is None or part.stop is None:
                    self._report_damage(reader, job, total, first + written)
        except KeyboardInterrupt:
            if written:
                self._notify("stopped; %s contains the first %d frames" % (job.output, written))
            raise
        return written

    def _report_damage(self, reader: video.Reader, job: inputs.Job, total: Optional[int], frames: int) -> None:
        if reader.damaged:
            self._notify(
                "%s has %d damaged frames; each was replaced by the frame before it" % (job.content, reader.damaged)
            )
        if total and total > 1.1 * frames:  # some formats only estimate the number of frames
            self._notify(
                "only %d of %d frames of %s could be read; the file is cut off or damaged"
                % (frames, total, job.content)
            )


def divide_video(args: argparse.Namespace, options: Dict[str, Any], job: inputs.Job) -> Optional[workers.Divided]:
    """The parts of a video; None if it is too short to divide, or does not tell its length."""
    with video.Reader(job.content) as reader:
        frames, fps = inputs.frame_count(args, reader), reader.fps
    each = max(1, round(workers.segment_seconds(args) * fps))
    if not frames or frames <= each:
        return None
    result = inputs.result(args, job)
    limits = list(range(0, frames, each))
    parts, join = workers.remaining_parts(args, options, job, limits, result.inputs, ".mkv")
    return workers.Divided(parts, join, sum((part.stop or frames) - part.first for part in parts))


def join_video(join: workers.Join) -> int:
    """Write a video from its parts and remove them; returns 0, since its frames have been counted."""
    with video.Reader(join.whole.content) as reader:
        fps = reader.fps
    # Formats may promise more frames than there are: then the last parts have none, and no file.
    paths = list(itertools.takewhile(os.path.exists, join.paths))
    with video.Writer(join.output, fps) as writer:
        for path in paths:
            with video.Reader(path) as reader:
                for rgb in reader:
                    writer.write(rgb)
    shutil.rmtree(os.path.dirname(join.paths[0]))
    return 0


class VideoClock:
    """The time within a video in seconds, for cross-fades that do not depend on the processing speed."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Progress:
    """A progress bar for one picture, shown only if it takes more than two seconds."""

    def __init__(self, name: str, disable: bool = False) -> None:
        self._bar = tqdm(
            desc=name,
            disable=disable,
            total=100,
            unit="%",
            delay=2.0,
            leave=False,
            bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed}<{remaining}",
        )

    def __enter__(self) -> Any:
        return lambda done: self._bar.update(100 * done - self._bar.n)

    def __exit__(self, *_: Any) -> None:
        self._bar.close()
