"""``python -m ros_style_transfer``: style transfer for pictures and videos without ROS."""

import argparse
import os
import sys
from typing import Optional, Sequence

from .. import __version__
from ..media.style_library import StyleLibrary
from ..models import vgg_weights
from . import benchmark, export, gallery, render, stylize
from .common import Parser, add_verbose, report_errors

COMMANDS = {"stylize": stylize, "gallery": gallery, "render": render, "benchmark": benchmark, "export": export}
EXAMPLES = """examples:
  %(prog)s stylize photo.jpg --style mosaic -o stylized.png
  %(prog)s stylize clip.mp4 --style my_picture.jpg --smoothing 0.5 -o stylized.mp4
  %(prog)s COMMAND --help lists the options of a command.
"""


def parser() -> Parser:
    """The command line's parser.  Options that are not given are None, so that ineffective ones can be rejected."""
    program = os.path.basename(sys.argv[0])
    main = Parser(
        prog="python -m ros_style_transfer" if program.endswith(".py") else program,
        description="Style transfer for pictures and videos, without ROS.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    main.add_argument("--version", action="version", version="ros_style_transfer %s" % __version__)
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS.values():
        module.add_to(commands)
    commands.add_parser("styles", help="list the included styles")
    fetched = commands.add_parser("weights", help="download VGG's ImageNet weights, an option of `render`")
    fetched.add_argument("action", choices=["fetch"], help="download to the cache folder")
    fetched.add_argument("network", choices=sorted(vgg_weights.SOURCES), nargs="+", help="network to download")
    for command in commands.choices.values():
        if command.prog.split()[-1] != "benchmark":  # its subcommands have it
            add_verbose(command)
    return main


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line; errors are reported by `common.report_errors`."""
    arguments = sys.argv[1:] if argv is None else argv
    report_errors(lambda: run(parser().parse_args(arguments)), verbose="--verbose" in arguments)


def run(args: argparse.Namespace) -> None:
    """Run the command that ``args`` name."""
    if args.command == "styles":
        for name, path in StyleLibrary().paths().items():
            print("%-20s %s" % (name, path))
    elif args.command == "weights":
        for name in args.network:
            print(vgg_weights.fetch(name))
    else:
        COMMANDS[args.command].run(args)
