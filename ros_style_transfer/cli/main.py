"""``python -m ros_style_transfer``: painting pictures and videos without ROS."""
from ..media.style_library import StyleLibrary
from ..models import vgg_weights
from . import benchmark, export, gallery, render, stylize
from .common import Parser, politely


def parser():
    """The command line's parser.  What is not given is None, so that an option without effect is noticed."""
    main = Parser(prog="python -m ros_style_transfer", description=__doc__)
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    stylize.add_to(commands)
    gallery.add_to(commands)
    render.add_to(commands)
    commands.add_parser("styles", help="list the shipped styles")
    benchmark.add_to(commands)
    export.add_to(commands)
    fetched = commands.add_parser("weights", help="fetch VGG's official weights, for `render`")
    fetched.add_argument("action", choices=["fetch"])
    fetched.add_argument("network", choices=sorted(vgg_weights.SOURCES), nargs="+")
    return main


def main(argv=None):
    """Run the command line, see `politely`."""
    politely(lambda: command(parser().parse_args(argv)))


def command(args):
    """Do what the command line asks for."""
    if args.command == "styles":
        for name, path in StyleLibrary().paths().items():
            print("%-20s %s" % (name, path))
    elif args.command == "weights":
        for name in args.network:
            print(vgg_weights.fetch(name))
    else:
        {"stylize": stylize, "gallery": gallery, "render": render, "benchmark": benchmark,
         "export": export}[args.command].run(args)
