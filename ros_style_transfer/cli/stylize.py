"""The command ``stylize``: pictures, videos and textures in a style, here or on workers."""

import argparse
import functools
from typing import Any

from ..controls import SETTINGS, check, check_model, check_range
from ..media import images
from ..models import weights
from . import batch, inputs, job_runner, workers
from .common import add_model_options, add_output_options, add_painting_options, controls_of, print_message, read_mask


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
    add_output_options(
        parser, "a file for one CONTENT, a folder for several; also a folder if it is one or ends in /", several=True
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
    workers.add_options(parser)
    add_model_options(parser)
    add_painting_options(parser)


def run(args: argparse.Namespace) -> None:
    """Stylize everything that the command line names."""
    check_model(args.model, args.precision)
    check_range("--max-memory", args.max_memory, *SETTINGS["max_memory"].allowed)
    controls = controls_of(args)
    check(controls, args.model)
    jobs = inputs.plan_jobs(args)
    inputs.check(args, jobs, controls)
    if workers.are_wanted(args):
        inputs.check_distributable(args, jobs)
    _, entry = weights.load(args.model, args.weights_dir)
    mask = read_mask(args.mask, len(jobs[0].styles))
    if not inputs.is_table(args.content):
        for path in jobs[0].styles:
            images.read(path)
    for advisory in inputs.advisories(args, jobs, mask):
        print_message(advisory)
    options = inputs.result_options(args, jobs, controls, entry["sha256"])
    folder = None if len(jobs) == 1 and jobs[0].output == args.output else args.output
    make = functools.partial(job_runner.JobRunner, args, options)
    divisible = any(job.is_video() for job in jobs)
    batch.run(args, jobs, options, folder, functools.partial(inputs.result, args), make, "picture", divisible)
