"""``python -m ros_style_transfer``: painting pictures without ROS."""
import argparse
import csv
import os
import sys

from . import images
from .architecture import LEVELS
from .errors import OptionError, StyleTransferError
from .options import DTYPES, MODELS, check_options, parse_levels
from .style_library import StyleLibrary

PAIRS_SIDE = 512  # the longer side of both pictures of a pair, as the literature compares


def parser():
    """The command line's parser."""
    main = argparse.ArgumentParser(prog="python -m ros_style_transfer", description=__doc__)
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    stylize = commands.add_parser(
        "stylize", help="paint pictures in a style",
        description="Paint pictures in a style. A .csv with the columns content,style (paths relative to it) "
                    "paints every pair, both scaled to a longer side of %d; OUT is then a folder of 00.png, "
                    "01.png, ..." % PAIRS_SIDE)
    stylize.add_argument("content", nargs="+", metavar="CONTENT", help="pictures, or one .csv of pairs")
    stylize.add_argument("--style", help="a shipped style's name, or any picture; see `styles`")
    stylize.add_argument("-o", "--output", required=True, metavar="OUT",
                         help="a picture for one CONTENT, a folder for several")
    stylize.add_argument("--strength", type=float, default=1.0, metavar="A", help="0..1 (default: %(default)s)")
    stylize.add_argument("--levels", default=",".join(map(str, LEVELS)), help="default: %(default)s")
    stylize.add_argument("--model", default=MODELS[0], help="default: %(default)s")
    stylize.add_argument("--dtype", default=DTYPES[0], help=", ".join(DTYPES) + " (default: %(default)s)")
    commands.add_parser("styles", help="list the shipped styles")
    return main


def jobs_of(args):
    """What is to be painted: ``[(content path, style path, output path, scaled side or None), ...]``."""
    if args.content[0].lower().endswith(".csv"):
        if len(args.content) > 1 or args.style:
            raise OptionError("a .csv of pairs stands alone and names its styles: give no other CONTENT, no --style")
        folder = os.path.dirname(os.path.abspath(args.content[0]))
        try:
            with open(args.content[0], newline="") as file:
                rows = list(csv.DictReader(file))
            pairs = [(os.path.join(folder, row["content"]), os.path.join(folder, row["style"])) for row in rows]
            if not pairs:
                raise ValueError("no rows")
        except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
            raise OptionError("cannot read pairs from %s (columns content,style): %s" % (args.content[0], error))
        return [(content, style, os.path.join(args.output, "%02d.png" % n), PAIRS_SIDE)
                for n, (content, style) in enumerate(pairs)]
    if not args.style:
        raise OptionError("say which style with --style (see `python -m ros_style_transfer styles`)")
    # On the command line any picture of the user's own is a style.
    style = args.style if os.path.isfile(args.style) else StyleLibrary().find(args.style)
    if len(args.content) == 1 and not os.path.isdir(args.output) and not args.output.endswith(os.sep):
        return [(args.content[0], style, args.output, None)]
    names = [os.path.splitext(os.path.basename(content))[0] + ".png" for content in args.content]
    if len(set(names)) < len(names):
        raise OptionError("several CONTENT pictures have the same name and would overwrite each other in %s"
                          % args.output)
    return [(content, style, os.path.join(args.output, name), None) for content, name in zip(args.content, names)]


def stylize(args):
    """Paint all that the command line names."""
    jobs = jobs_of(args)
    for content, style, output, _ in jobs:  # before TensorFlow's import and the first hour of work
        images.check_exists(content)
        images.check_exists(style)
        images.check_ending(output)
        if os.path.realpath(output) in (os.path.realpath(content), os.path.realpath(style)):
            raise OptionError("the output %s would overwrite its own input; choose another -o" % output)
    levels = parse_levels(args.levels)
    check_options(args.model, levels, args.dtype, args.strength)
    from tqdm import tqdm

    from .stylizer import Stylizer  # TensorFlow's import takes seconds

    stylizer = Stylizer(args.model, levels, args.dtype)
    for content, style, output, side in tqdm(jobs, unit="picture", disable=len(jobs) < 2):
        pictures = [images.read(content), images.read(style)]
        if side:
            pictures = [images.resize(p, *images.scaled_size(p.shape[1], p.shape[0], side, 16)) for p in pictures]
        stylizer.set_style(pictures[1])
        images.write(output, stylizer.stylize(pictures[0], args.strength))


def main(argv=None):
    """Run the command line; errors are one sentence on stderr and exit code 1."""
    args = parser().parse_args(argv)
    try:
        if args.command == "styles":
            for name, path in StyleLibrary().paths().items():
                print("%-20s %s" % (name, path))
        else:
            stylize(args)
    except StyleTransferError as error:
        sys.exit("ros_style_transfer: %s" % error)
    except KeyboardInterrupt:
        sys.exit(130)
