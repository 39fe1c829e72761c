"""The command ``stylize``: pictures, videos and textures in a style."""

import argparse
import functools
import itertools
import os
import sys
import time
from typing import TYPE_CHECKING, Any, List, Optional

import numpy as np
from tqdm import tqdm

from ..controls import CONTROLS, SETTINGS, Controls, check, check_model, check_range, controls_from
from ..errors import StyleTransferError
from ..media import images, video
from ..models import weights
from . import inputs
from .common import add_model_options, add_painting_options, parse_size, print_message, read_mask

if TYPE_CHECKING:
    from ..stylizer import Stylizer

TEXTURE_PASSES = 3  # enough to turn noise into a texture


def add_to(commands: Any) -> None:
    """Add the command ``stylize`` to the command line's ``commands``."""
    parser = commands.add_parser(
        "stylize",
        help="stylize pictures, videos or a webcam",
        # argparse would show CONTENT last, where --style takes it.
        usage="%(prog)s CONTENT ... --style S ... -o OUT [option ...]\n"
        "       %(prog)s --texture WxH --style S ... -o OUT [option ...]",
        description="Stylize pictures, folders of pictures, videos, or a webcam (its number). A .csv file with the "
        "columns content,style (paths relative to the file) stylizes each pair, both resized to a longer "
        "side of %d; OUT is then a folder of 00.png, 01.png, ..." % inputs.PAIRS_SIDE,
    )
    parser.add_argument(
        "content",
        nargs="*",
        metavar="CONTENT",
        help="pictures, folders of pictures, videos, webcams, or one .csv of pairs",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="a file for one CONTENT, a folder for several; also a folder if it is one or ends in /",
    )
    parser.add_argument("--texture", metavar="WxH", help="make a texture of the style, of this size, without CONTENT")
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="seed of the texture (default: 0) and of the style `random` (default: unpredictable)",
    )
    parser.add_argument(
        "--size", type=int, metavar="N", help="resize the content to this longer side first (default: keep its size)"
    )
    parser.add_argument("--concat", action="store_true", default=None, help="put the style next to the result")
    parser.add_argument(
        "--cycle", type=float, metavar="SECONDS", help="in a video, show one style after another, each for this time"
    )
    parser.add_argument(
        "--fade",
        type=float,
        metavar="SECONDS",
        help="with --cycle: cross-fade between two styles (default: 1, at most --cycle)",
    )
    parser.add_argument("--frames", type=int, metavar="N", help="stop a video or webcam after N frames, as Ctrl-C does")
    add_model_options(parser)
    add_painting_options(parser)


def run(args: argparse.Namespace) -> None:
    """Stylize everything that the command line names."""
    check_model(args.model, args.precision)
    check_range("--max-memory", args.max_memory, *SETTINGS["max_memory"].allowed)
    controls = controls_from({name: getattr(args, name, None) for name in CONTROLS})
    check(controls, args.model)
    jobs = inputs.plan_jobs(args)
    inputs.check(args, jobs, controls)
    weights.load(args.model, args.weights_dir)
    mask = read_mask(args.mask, len(jobs[0].styles))
    read_style = functools.lru_cache(maxsize=16)(images.read)  # most jobs share styles; a table may name any number
    if not inputs.is_table(args.content):
        for path in jobs[0].styles:
            read_style(path)
    for advisory in inputs.advisories(args, jobs, mask):
        print_message(advisory)

    from ..stylizer import Stylizer  # TensorFlow's import takes seconds, so every check comes before it

    clock = VideoClock()
    stylizer = Stylizer(args.model, args.precision, args.weights_dir, clock, args.max_memory)
    failed = 0
    for job in tqdm(jobs, unit="picture", disable=len(jobs) < 2):
        try:
            stylize(stylizer, job, [read_style(path) for path in job.styles], mask, controls, args, clock)
        except (StyleTransferError, MemoryError) as error:  # continue with the remaining pictures
            print_message(
                error
                if isinstance(error, StyleTransferError)
                else "not enough memory for %s; make it smaller" % job.output
            )
            failed += 1
    if failed and len(jobs) > 1:
        print_message("%d of %d failed, see above" % (failed, len(jobs)))
    if failed:
        sys.exit(1)


def stylize(
    stylizer: "Stylizer",
    job: inputs.Job,
    styles: List[np.ndarray],
    mask: Optional[np.ndarray],
    controls: Controls,
    args: argparse.Namespace,
    clock: "VideoClock",
) -> None:
    """Do one `Job`."""
    style_side = round(job.style_side * max(1.0, controls.style_scale))  # the stylizer never upscales a style
    styles = [images.resize_longest_side(rgb, style_side) for rgb in styles]
    if styles:
        stylizer.set_styles(styles[:1] if args.cycle else styles, args.style_weights)
    if job.is_video():
        stylize_video(stylizer, job, styles, mask, controls, args, clock)
        return
    controls, alpha = controls._replace(smoothing=0.0), None  # only videos are smoothed
    if job.content is None:
        if args.passes is None:
            controls = controls._replace(passes=TEXTURE_PASSES)
        painted = stylizer.texture(*parse_size(args.texture, "--texture"), args.seed or 0, controls)
    else:
        rgb, alpha = images.read_with_alpha(job.content, job.side)
        alpha = None if alpha is None else images.resize_longest_side(alpha, job.side)
        with Progress(os.path.basename(job.output)) as progress:
            painted = stylizer.stylize(images.resize_longest_side(rgb, job.side), controls, mask, progress=progress)
    if args.concat:
        width = painted.shape[1]
        painted = images.concat(styles, painted)
        if alpha is not None:
            alpha = np.pad(alpha, ((0, 0), (painted.shape[1] - width, 0)), constant_values=255)
    images.write_or_rescue(job.output, painted, alpha)


def stylize_video(
    stylizer: "Stylizer",
    job: inputs.Job,
    styles: List[np.ndarray],
    mask: Optional[np.ndarray],
    controls: Controls,
    args: argparse.Namespace,
    clock: "VideoClock",
) -> None:
    """Stylize a video or a webcam frame by frame; with ``--cycle``, in one style after another."""
    webcam = video.webcam_number(job.content) is not None and not os.path.isfile(str(job.content))
    shown, written, started = 0, 0, time.monotonic()
    stylizer.reset()
    try:
        with video.Reader(job.content) as reader, video.Writer(job.output, reader.fps) as writer:
            frames = tqdm(
                itertools.islice(reader, args.frames),
                total=inputs.frame_count(args, reader),
                unit="frame",
                desc=os.path.basename(job.output),
            )
            for number, rgb in enumerate(frames):
                clock.now = time.monotonic() - started if webcam else number / reader.fps
                if args.cycle and int(clock.now / args.cycle) != shown:
                    shown = int(clock.now / args.cycle)
                    stylizer.set_style(
                        styles[shown % len(styles)], min(1.0, args.cycle) if args.fade is None else args.fade
                    )
                painted = stylizer.stylize(images.resize_longest_side(rgb, job.side), controls, mask)
                if args.concat:
                    painted = images.concat(styles, painted)
                # A webcam does not wait: each frame is repeated for as long as it took.
                for _ in range(max(1, round(clock.now * reader.fps) - written) if webcam else 1):
                    writer.write(painted)
                    written += 1
            if reader.damaged:
                print_message(
                    "%s has %d damaged frames; each was replaced by the frame before it" % (job.content, reader.damaged)
                )
            if frames.total and frames.total > 1.1 * frames.n:  # some formats only estimate the number of frames
                print_message(
                    "only %d of %d frames of %s could be read; the file is cut off or damaged"
                    % (frames.n, frames.total, job.content)
                )
    except KeyboardInterrupt:
        if written:
            print_message("stopped; %s contains the first %d frames" % (job.output, written))
        raise


class VideoClock:
    """The time within a video in seconds, for cross-fades that do not depend on the processing speed."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Progress:
    """A progress bar for one picture, shown only if it takes more than two seconds."""

    def __init__(self, name: str) -> None:
        self._bar = tqdm(
            desc=name,
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
