"""The command ``export``: a model as a TensorFlow SavedModel."""
from ..controls import FLOATS, MODELS, check_model
from ..errors import OptionError


def add_to(commands):
    """Add the command ``export`` to the command line's ``commands``."""
    parser = commands.add_parser("export", help="write a model as a TensorFlow SavedModel")
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--model", default="live", help="%s (default: %%(default)s)" % ", ".join(MODELS))
    parser.add_argument("--weights-dir", metavar="DIR", help="weights of your own training (default: ours)")
    parser.add_argument("--dtype", default=FLOATS[0], help="%s (default: %%(default)s)" % ", ".join(FLOATS))


def run(args):
    """Export the model that the command line names."""
    check_model(args.model, args.dtype)
    if args.dtype not in FLOATS:
        raise OptionError("name the precision to export, one of %s" % ", ".join(FLOATS))
    from ..transfer.export import export

    export(args.model, args.output, args.dtype, args.weights_dir)
