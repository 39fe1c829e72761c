"""``python -m ros_style_transfer``: style transfer for pictures and videos without ROS."""

import argparse
from typing import Optional, Sequence

from ..media.style_library import StyleLibrary
from ..models import vgg_weights
from . import benchmark, export, gallery, render, stylize
from .common import Parser, report_errors

COMMANDS = {"stylize": stylize, "gallery": gallery, "render": render, "benchmark": benchmark, "export": export}


def parser() -> Parser:
    """The command line's parser.  Options that are not given are None, so that ineffective ones can be rejected."""
    main = Parser(
        prog="python -m ros_style_transfer", description="Style transfer for pictures and videos, without ROS."
    )
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS.values():
        module.add_to(commands)
    commands.add_parser("styles", help="list the shipped styles")
    fetched = commands.add_parser("weights", help="download VGG's official weights, for `render`")
    fetched.add_argument("action", choices=["fetch"])
    fetched.add_argument("network", choices=sorted(vgg_weights.SOURCES), nargs="+")
    return main


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line; errors are reported by `common.report_errors`."""
    report_errors(lambda: run(parser().parse_args(argv)))


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
