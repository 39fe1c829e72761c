"""The command ``benchmark``: how fast this machine paints."""
import itertools
import json
import os
import subprocess
import sys

from ..controls import DTYPES, MODELS, check_model, whole, within
from ..errors import OptionError
from ..media import images
from .common import check_writable, find_styles, size


def add_to(commands):
    """Add ``benchmark live|image|ros|gatys``."""
    measures = commands.add_parser("benchmark", help="measure how fast this machine paints").add_subparsers(
        dest="what", required=True, metavar="live|image|ros|gatys")
    live = measures.add_parser("live", help="frames, one after the other, without ROS")
    image = measures.add_parser("image", help="pictures of growing size")
    ros = measures.add_parser("ros", help="the node on a ROS graph of its own, from stamp to arrival")
    gatys = measures.add_parser("gatys", help="a full render against the study that this package grew from")
    for one in (live, image, ros):
        one.add_argument("--model", nargs="+", default=["live"] if one is ros else None, metavar="M",
                         help="%s (default: %s)" % (", ".join(MODELS), "%(default)s" if one is ros else "all"))
        one.add_argument("--dtype", nargs="+", default=["auto"] if one is ros else None, metavar="D",
                         help="%s (default: %s)" % (", ".join(DTYPES), "auto" if one is ros else "all but float16"))
        one.add_argument("--weights-dir", metavar="DIR", help="weights of your own training (default: ours)")
        if one is not ros:
            one.add_argument("--plot", metavar="DIR", help="draw the figures there (needs matplotlib)")
    for one in (live, ros):
        one.add_argument("--size", nargs="+", default=["320x240", "640x480"], metavar="WxH", help="of the frames")
    live.add_argument("--layers", action="store_true", help="time each convolution of live and lite by itself, too")
    live.add_argument("--no-reference", action="store_true", help="leave out what published implementations do")
    image.add_argument("--side", nargs="+", type=int, metavar="N", help="longer sides (default: 128 to 3840)")
    image.add_argument("--max-memory", type=float, default=0.0, metavar="MB", help="see stylize")
    ros.add_argument("--rate", nargs="+", type=float, default=[30.0], metavar="HZ",
                     help="frames a second of the camera (default: %(default)s)")
    ros.add_argument("--seconds", type=float, default=10.0, metavar="S", help="how long (default: %(default)s)")
    gatys.add_argument("content", metavar="CONTENT", help="a picture")
    gatys.add_argument("--style", required=True, metavar="S", help="a style's name or a picture")
    gatys.add_argument("--network-weights", metavar="FILE", help="VGG16's weights (default: the fetched)")
    gatys.add_argument("--plot", metavar="FILE", help="draw both curves there, .png or .jpg (needs matplotlib)")
    for one in (live, image, ros, gatys):
        one.add_argument("--json", metavar="FILE", help="write the figures there")


def run(args):
    """Measure this machine."""
    plot = getattr(args, "plot", None)
    if plot and args.what != "gatys":  # a folder
        plot = os.path.join(plot, "plot")
    for path in filter(None, (args.json, plot)):
        check_writable(path)
    if args.what == "gatys":
        from ..benchmark.gatys import gatys

        (style,) = find_styles([args.style])
        gatys(images.read(args.content), images.read(style), args.network_weights, args.json, args.plot)
        return
    layers = args.what == "live" and args.layers
    if layers and "cascade" in (args.model or ()):
        raise OptionError("--layers is for live and lite: the cascade's are VGG's, five times over")
    args.model = args.model or [model for model in MODELS if not (layers and model == "cascade")]
    for model, dtype in itertools.product(args.model, args.dtype or ("float32",)):
        check_model(model, dtype)
    args.dtype = args.dtype or ["float32", "bfloat16", "int8"]  # the last where the model can
    if args.what != "ros" and "auto" in args.dtype:
        raise OptionError("name the precisions to measure; auto would choose one")
    if args.what == "image":
        for side in args.side or ():
            whole("--side", side, 32, 32768)
        from ..benchmark.painting import SIDES, image, write

        write(image(args.model, args.dtype, args.side or SIDES, args.weights_dir, args.max_memory),
              args.json, args.plot)
        return
    sizes = [size(text, "--size") for text in args.size]
    if args.what == "ros":
        within("--seconds", args.seconds, 1, 86400)
        for rate in args.rate:
            within("--rate", rate, 0.1, 1000)
        # A program of its own: nothing here may need ROS.
        asked = dict(models=args.model, dtypes=args.dtype, sizes=sizes, rates=args.rate, seconds=args.seconds,
                     weights_dir=args.weights_dir, json_file=args.json)
        sys.exit(subprocess.call([sys.executable, "-m", "ros_style_transfer.ros.benchmark", json.dumps(asked)]))
    from ..benchmark.painting import live, write

    write(live(args.model, args.dtype, sizes, args.weights_dir, args.layers, not args.no_reference),
          args.json, args.plot)
