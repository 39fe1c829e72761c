"""The command ``export``: a model as a TensorFlow SavedModel."""

import argparse
import logging
from typing import Any

from ..controls import check_model
from ..errors import OptionError
from ..models.registry import FLOATS
from .common import add_setting


def add_to(commands: Any) -> None:
    """Add the command ``export`` to the command line's ``commands``."""
    parser = commands.add_parser(
        "export",
        help="write a model as a TensorFlow SavedModel",
        description="Write a model as a TensorFlow SavedModel, for TensorRT and other converters; see doc/jetson.md.",
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="a new folder")
    add_setting(parser, "model")
    add_setting(parser, "weights_dir")
    # Not `auto`: that would measure this machine, while an exported model is usually for another one.
    add_setting(
        parser,
        "precision",
        default=FLOATS[0],
        help="number format of the convolutions: %s (default: %%(default)s, which converters expect)"
        % ", ".join(FLOATS),
    )


def run(args: argparse.Namespace) -> None:
    """Export the model that the command line names."""
    check_model(args.model, args.precision)
    if args.precision not in FLOATS:
        raise OptionError("--precision %s cannot be exported; choose one of %s" % (args.precision, ", ".join(FLOATS)))
    from ..transfer.export import export

    if not args.verbose:
        logging.getLogger("absl").setLevel(logging.ERROR)  # it notes that it renames arguments
    export(args.model, args.output, args.precision, args.weights_dir)
