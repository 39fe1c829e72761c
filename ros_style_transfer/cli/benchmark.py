"""The command ``benchmark``: how fast this machine stylizes."""

import argparse
import itertools
import json
import os
import subprocess
import sys
from typing import Any

from ..controls import SETTINGS, check_integer, check_model, check_range
from ..errors import OptionError
from ..media import images
from ..models.registry import MODELS, PRECISIONS
from ..resources import available_cores
from .common import add_setting, add_verbose, check_writable, find_styles, parse_size


def add_to(commands: Any) -> None:
    """Add the command ``benchmark live|image|workers|ros|ros2|gatys`` to the command line's ``commands``."""
    measures = commands.add_parser(
        "benchmark", help="measure the speed of this machine", description="Measure the speed of this machine."
    ).add_subparsers(dest="what", required=True, metavar="live|image|workers|ros|ros2|gatys")
    live = measures.add_parser("live", help="frames, one after another, without ROS")
    image = measures.add_parser("image", help="time and memory of pictures of increasing size")
    several = measures.add_parser("workers", help="one process of several threads, and several workers (needs Ray)")
    several.add_argument("--model", nargs="+", default=["live", "cascade"], metavar="NAME", help=", ".join(MODELS))
    several.add_argument("--precision", default="float32", metavar="NAME", help="(default: %(default)s)")
    several.add_argument("--size", default="640x480", metavar="WxH", help="of the pictures (default: %(default)s)")
    several.add_argument("--pictures", type=int, default=60, metavar="N", help="for each figure (default: %(default)s)")
    ros = measures.add_parser("ros", help="latency and frame rate of the node, in a ROS graph of its own")
    ros2 = measures.add_parser("ros2", help="the same with the node of ROS 2")
    gatys = measures.add_parser("gatys", help="a full render, compared to the optimization in Chollet's walkthrough")
    for one in (live, image, ros, ros2):
        for name, choices, everything in (("model", MODELS, "all"), ("precision", PRECISIONS, "all but float16")):
            default = [SETTINGS[name].default] if one in (ros, ros2) else None
            one.add_argument(
                "--" + name,
                nargs="+",
                default=default,
                metavar="NAME",
                help="%s (default: %s)" % (", ".join(choices), default[0] if default else everything),
            )
        add_setting(one, "weights_dir")
        if one not in (ros, ros2):
            one.add_argument("--plot", metavar="DIR", help="draw charts in this folder (needs matplotlib)")
    for one in (live, ros, ros2):
        one.add_argument(
            "--size",
            nargs="+",
            default=["320x240", "640x480"],
            metavar="WxH",
            help="sizes of the frames (default: 320x240 640x480)",
        )
    live.add_argument("--layers", action="store_true", help="also time each convolution of single-pass models")
    live.add_argument(
        "--no-reference", action="store_true", help="do not time what published implementations compute for each frame"
    )
    image.add_argument("--side", nargs="+", type=int, metavar="N", help="longer sides (default: 128 to 3840)")
    add_setting(image, "max_memory")
    for one in (ros, ros2):
        one.add_argument(
            "--rate",
            nargs="+",
            type=float,
            default=[30.0],
            metavar="HZ",
            help="frames per second of the camera (default: 30)",
        )
        one.add_argument(
            "--seconds", type=float, default=10.0, metavar="SECONDS", help="duration of each measurement (default: 10)"
        )
    gatys.add_argument("content", metavar="CONTENT", help="a picture")
    gatys.add_argument("--style", required=True, metavar="S", help="a style's name or a picture")
    gatys.add_argument(
        "--network-weights", metavar="FILE", help="VGG16's weights (default: those that `weights fetch` downloaded)"
    )
    gatys.add_argument("--plot", metavar="FILE", help="draw both curves, .png or .jpg (needs matplotlib)")
    for one in (live, image, several, ros, ros2, gatys):
        one.add_argument("--json", metavar="FILE", help="write the figures to this file")
        add_verbose(one)


def run(args: argparse.Namespace) -> None:
    """Measure what the command line asks for."""
    plot = getattr(args, "plot", None)
    if plot and args.what != "gatys":  # a folder
        plot = os.path.join(plot, "plot")
    for path in filter(None, (args.json, plot)):
        check_writable(path)
    if args.what == "gatys":
        _gatys(args)
        return
    if args.what == "workers":
        _workers(args)
        return
    _choose_models(args)
    {"live": _live, "image": _image, "ros": _ros, "ros2": _ros}[args.what](args)


def _choose_models(args: argparse.Namespace) -> None:
    """Check the models and precisions, and fill in those that are measured by default."""
    layers = args.what == "live" and args.layers
    if layers and any(model in MODELS and MODELS[model].sequential for model in args.model or ()):
        raise OptionError(
            "--layers is for models of a single pass: %s"
            % ", ".join(name for name, spec in MODELS.items() if not spec.sequential)
        )
    args.model = args.model or [name for name, spec in MODELS.items() if not (layers and spec.sequential)]
    for model, precision in itertools.product(args.model, args.precision or ("float32",)):
        check_model(model, precision)
    args.precision = args.precision or ["float32", "bfloat16", "int8"]  # int8 for models that have it
    if args.what not in ("ros", "ros2") and "auto" in args.precision:
        raise OptionError(
            "benchmark needs explicit precisions, because auto selects one by itself; choose from %s"
            % ", ".join(name for name in PRECISIONS if name != "auto")
        )


def _gatys(args: argparse.Namespace) -> None:
    from ..benchmark.gatys import gatys

    (style,) = find_styles([args.style])
    gatys(images.read(args.content), images.read(style), args.network_weights, args.json, args.plot)


def _workers(args: argparse.Namespace) -> None:
    for model in args.model:
        check_model(model, args.precision)
    check_integer("--pictures", args.pictures, 10, 10**6)
    size, cores = parse_size(args.size, "--size"), available_cores()
    from ..benchmark.workers import workers

    figures = workers(args.model, args.precision, size, args.pictures, cores)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


def _live(args: argparse.Namespace) -> None:
    sizes = [parse_size(text, "--size") for text in args.size]
    from ..benchmark.painting import live, write

    write(
        live(args.model, args.precision, sizes, args.weights_dir, args.layers, not args.no_reference),
        args.json,
        args.plot,
    )


def _image(args: argparse.Namespace) -> None:
    for side in args.side or ():
        check_integer("--side", side, 32, 32768)
    from ..benchmark.painting import SIDES, image, write

    write(
        image(args.model, args.precision, args.side or SIDES, args.weights_dir, args.max_memory), args.json, args.plot
    )


def _ros(args: argparse.Namespace) -> None:
    sizes = [parse_size(text, "--size") for text in args.size]
    check_range("--seconds", args.seconds, 1, 86400)
    for rate in args.rate:
        check_range("--rate", rate, 0.1, 1000)
    # A program of its own, because nothing here may need ROS.
    arguments = dict(
        models=args.model,
        precisions=args.precision,
        sizes=sizes,
        rates=args.rate,
        seconds=args.seconds,
        weights_dir=args.weights_dir,
        json_file=args.json,
    )
    module = "ros_style_transfer.%s.benchmark" % args.what
    sys.exit(subprocess.call([sys.executable, "-m", module, json.dumps(arguments)]))
