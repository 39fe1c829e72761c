"""The command ``stylize``: pictures, videos and textures, painted."""
import functools
import itertools
import os
import sys
import time

import numpy as np
from tqdm import tqdm

from ..controls import DESCRIPTIONS, check, check_model, controls_from, within
from ..errors import StyleTransferError
from ..media import images, video
from ..models import weights
from . import inputs
from .common import add_look, add_network, read_mask, size, tell

TEXTURE_PASSES = 3  # what it takes until noise has become texture


def add_to(commands):
    """Add the command ``stylize`` to the command line's ``commands``."""
    parser = commands.add_parser(
        "stylize", help="paint pictures or videos in a style",
        # argparse would show CONTENT last, where --style swallows it.
        usage="%(prog)s CONTENT ... --style S ... -o OUT [option ...]\n"
              "       %(prog)s --texture WxH --style S ... -o OUT [option ...]",
        description="Paint pictures, folders of pictures, videos or a webcam (its number) in a style. A .csv with "
                    "the columns content,style (paths relative to it) paints every pair, both scaled to a longer "
                    "side of %d; OUT is then a folder of 00.png, 01.png, ..." % inputs.PAIRS_SIDE)
    parser.add_argument("content", nargs="*", metavar="CONTENT",
                        help="pictures, folders of pictures, videos, webcams, or one .csv of pairs")
    parser.add_argument("-o", "--output", required=True, metavar="OUT",
                        help="a file for one CONTENT, a folder for several (or if it is one or ends in /)")
    parser.add_argument("--texture", metavar="WxH", help="no CONTENT: a texture of the style, of this size")
    parser.add_argument("--seed", type=int, metavar="N",
                        help="of a texture (default: 0) and of the style `random` (default: another each time)")
    parser.add_argument("--size", type=int, metavar="N",
                        help="scale the content to this longer side first (default: its own)")
    parser.add_argument("--concat", action="store_true", default=None, help="put the style beside the result")
    parser.add_argument("--cycle", type=float, metavar="SECONDS",
                        help="in a video: one style after the other, each for so long")
    parser.add_argument("--fade", type=float, metavar="SECONDS",
                        help="with --cycle: how long one style takes to become the next (default: 1, at most --cycle)")
    parser.add_argument("--frames", type=int, metavar="N", help="end a video or webcam after N frames; so does Ctrl-C")
    add_network(parser, "cascade")
    add_look(parser)


def run(args):
    """Paint all that the command line names."""
    check_model(args.model, args.dtype)
    within("--max-memory", args.max_memory, 0, 1e7)
    controls = controls_from({name: getattr(args, name) for name in DESCRIPTIONS})
    check(controls, args.model)
    work = inputs.find(args)
    inputs.check(args, work, controls)
    weights.load(args.model, args.weights_dir)
    mask = read_mask(args.mask, len(work[0].styles))
    read_style = functools.lru_cache(maxsize=16)(images.read)  # most jobs share styles; a table may name any number
    if not inputs.is_table(args.content):
        for path in work[0].styles:
            read_style(path)
    for note in inputs.notes(args, work, mask):
        tell(note)

    from ..stylizer import Stylizer  # TensorFlow's import takes seconds: what can be known to be wrong is said before

    clock = VideoClock()
    stylizer = Stylizer(args.model, args.dtype, args.weights_dir, clock, args.max_memory)
    failed = 0
    for job in tqdm(work, unit="picture", disable=len(work) < 2):
        try:
            paint(stylizer, job, [read_style(path) for path in job.styles], mask, controls, args, clock)
        except (StyleTransferError, MemoryError) as error:  # the other pictures are none the worse for it
            tell(error if isinstance(error, StyleTransferError) else
                 "there is not enough memory for %s; make it smaller" % job.output)
            failed += 1
    if failed and len(work) > 1:
        tell("%d of %d could not be painted, as said above" % (failed, len(work)))
    if failed:
        sys.exit(1)


def paint(stylizer, job, styles, mask, controls, args, clock):
    """Paint one `Job` and write it."""
    style_side = round(job.style_side * max(1.0, controls.style_scale))  # the network would never enlarge it
    styles = [images.scaled(rgb, style_side) for rgb in styles]
    if styles:
        stylizer.set_styles(styles[:1] if args.cycle else styles, args.weights)
    if job.is_video():
        paint_video(stylizer, job, styles, mask, controls, args, clock)
        return
    controls, alpha = controls._replace(smoothing=0.0), None  # only videos are smoothed
    if job.content is None:
        if args.passes is None:
            controls = controls._replace(passes=TEXTURE_PASSES)
        painted = stylizer.texture(*size(args.texture, "--texture"), args.seed or 0, controls)
    else:
        rgb, alpha = images.read_with_alpha(job.content)
        alpha = None if alpha is None else images.scaled(alpha, job.side)
        with Progress(os.path.basename(job.output)) as progress:
            painted = stylizer.stylize(images.scaled(rgb, job.side), controls, mask, progress=progress)
    if args.concat:
        width = painted.shape[1]
        painted = images.concat(styles, painted)
        if alpha is not None:
            alpha = np.pad(alpha, ((0, 0), (painted.shape[1] - width, 0)), constant_values=255)
    images.write(job.output, painted, alpha)


def paint_video(stylizer, job, styles, mask, controls, args, clock):
    """Frame by frame, with progress; the styles in turn if ``--cycle`` says so."""
    webcam = not video.is_video(job.content)
    shown, written, started = 0, 0, time.monotonic()
    stylizer.reset()
    try:
        with video.Reader(job.content) as reader, video.Writer(job.output, reader.fps) as writer:
            frames = tqdm(itertools.islice(reader, args.frames), total=inputs.length(args, reader), unit="frame",
                          desc=os.path.basename(job.output))
            for number, rgb in enumerate(frames):
                clock.now = time.monotonic() - started if webcam else number / reader.fps
                if args.cycle and int(clock.now / args.cycle) != shown:
                    shown = int(clock.now / args.cycle)
                    stylizer.set_style(styles[shown % len(styles)], min(1.0, args.cycle)
                                       if args.fade is None else args.fade)
                painted = stylizer.stylize(images.scaled(rgb, job.side), controls, mask)
                if args.concat:
                    painted = images.concat(styles, painted)
                # A webcam does not wait for the painter: a frame stands for as long as it took.
                for _ in range(max(1, round(clock.now * reader.fps) - written) if webcam else 1):
                    writer.write(painted)
                    written += 1
            if frames.total and frames.total > 1.1 * frames.n:  # some formats only know about how many there are
                tell("%s breaks off after %d of %d frames" % (job.content, frames.n, frames.total))
    except KeyboardInterrupt:
        if written:
            tell("stopped; %s holds the %d frames until then" % (job.output, written))
        raise


class VideoClock:
    """A video's own time, seconds: cross-fades go by it, however long a frame takes to paint."""

    now = 0.0

    def __call__(self):
        return self.now


class Progress:
    """A bar for one picture, shown once it is known to take long."""

    def __init__(self, name):
        self._bar = tqdm(desc=name, total=100, unit="%", delay=2.0, leave=False,
                         bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed}<{remaining}")

    def __enter__(self):
        return lambda share: self._bar.update(100 * share - self._bar.n)

    def __exit__(self, *_):
        self._bar.close()
