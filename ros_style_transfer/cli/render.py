"""A render as a command: `python -m ros_style_transfer render`, which the node runs as a process of its own, too."""
import json
import os
import threading

from tqdm import tqdm

from ..controls import check_weights, within
from ..errors import OptionError
from ..media import images
from ..models import weights
from ..render.options import DESCRIPTIONS, INITS, PRESETS, check, options_from
from .common import find_styles, read_mask, tell
from .inputs import Job, check_files


def add_to(commands):
    """Add the command ``render`` to the command line's ``commands``."""
    parser = commands.add_parser(
        "render", help="render one picture by optimisation (Gatys et al.): slow and thorough",
        usage="%(prog)s CONTENT --style S ... -o OUT [option ...]",
        description="Change a picture until its features agree with the content's and their statistics with the "
                    "style's (Gatys, Ecker, Bethge 2015), from small to large.")
    parser.add_argument("content", metavar="CONTENT", help="a picture")
    parser.add_argument("--style", nargs="+", required=True, metavar="S",
                        help="shipped styles' names (see `styles`), any pictures, or `random`")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="the picture to write")
    parser.add_argument("--weights", nargs="+", type=float, metavar="W", help="of several styles in a mixture")
    parser.add_argument("--mask", metavar="M", help="a picture of labels: 0 stays as it is, n gets the n-th style")
    parser.add_argument("--size", type=int, metavar="N", help="scale the content to this longer side first")
    parser.add_argument("--preset", default="default", help="%s (default: %%(default)s)"
                        % ", ".join(PRESETS))
    parser.add_argument("--network-weights", metavar="FILE", help="VGG's weights, .h5 or .npz (default: the fetched)")
    parser.add_argument("--preview", metavar="FILE", help="write the picture so far there, see --every")
    parser.add_argument("--every", type=int, default=10, metavar="N", help="iterations between previews (default: 10)")
    parser.add_argument("--resume", action="store_true", help="go on with a render of the same that was cut off")
    parser.add_argument("--threads", type=int, metavar="N", help="cores to use (default: all)")
    parser.add_argument("--json", action="store_true",
                        help="progress as lines of JSON on stdout; ends when stdin is closed")
    options = parser.add_argument_group("options; each is the preset's own unless given")
    for name, (_, about) in DESCRIPTIONS.items():
        default = getattr(PRESETS["default"], name)
        shown = ",".join("%s:%g" % pair for pair in default.items()) if isinstance(default, dict) else default
        options.add_argument("--" + name.replace("_", "-"), metavar=name[0].upper(),
                             help="%s (default: %s)" % (about, shown))


def run(args):
    """Render what the command line names."""
    options = options_from({name: getattr(args, name) for name in DESCRIPTIONS}, args.preset)
    from_picture = options.init not in INITS
    check(options)
    for name, low, high in (("size", images.MIN_SIDE, images.MAX_SIDE), ("every", 1, 100000), ("threads", 1, 1024)):
        if getattr(args, name) is not None:
            within("--" + name, getattr(args, name), low, high)
    if options.network == "compact" and args.network_weights:
        raise OptionError("--network-weights are VGG's, and the network is compact; choose --network vgg16 or vgg19")
    paths = find_styles(args.style, options.seed if "random" in args.style else None)
    check_weights(args.weights, len(paths))
    if args.weights and args.mask:
        raise OptionError("--weights mixes styles, while with --mask each has its own region: choose one")
    images.check_exists(args.content)
    if from_picture:
        images.check_exists(options.init)
    check_files([Job(args.content, paths, args.output)] + (
        [Job(None, paths, args.preview)] if args.preview else []), [args.mask, args.network_weights])
    content, alpha = images.read_with_alpha(args.content)
    content = images.scaled(content, args.size)
    alpha = None if alpha is None else images.scaled(alpha, args.size)
    styles, mask = [images.read(path) for path in paths], read_mask(args.mask, len(paths))
    initial = images.read(options.init) if from_picture else None
    for model, used in (("compact", options.network == "compact"), ("cascade", options.init == "wct")):
        if used:
            weights.load(model)
    if args.json:
        _end_with_stdin()

    # TensorFlow's import takes seconds: what can be known to be wrong is said before.
    from ..models.device import share_threads
    from ..render.checkpoint import STATE, State
    from ..render.renderer import Renderer
    from ..stylizer import Stylizer

    if args.threads:
        share_threads(args.threads)
    state = State(args.output + STATE, options, content, styles, args.weights, mask)
    start = state.read() if args.resume else None
    renderer = Renderer(options, args.network_weights)
    if options.init == "wct" and start is None:
        stylizer = Stylizer("cascade")
        stylizer.set_styles(styles, args.weights)
        initial = stylizer.stylize(content, mask=mask)
    progress = start  # of a render that was stopped at its very end there is no more to come
    with Bar(disable=args.json) as bar:
        try:
            for progress in renderer.render(content, styles, args.weights, mask, initial, start):
                bar.show(progress, tell)
                shown = args.preview and progress.iteration % args.every == 0
                if shown:
                    images.write(args.preview, renderer.picture(progress.x, content, mask))
                if args.json:
                    _say(progress, shown)
                state.keep(progress)
        except KeyboardInterrupt:
            if progress is not start:
                state.keep(progress, now=True)
                tell("stopped; `--resume` goes on from iteration %d at %dx%d"
                     % (progress.iteration, progress.width, progress.height))
            raise
    images.write(args.output, renderer.picture(progress.x, content, mask), alpha)
    state.forget()


class Bar:
    """A bar for each size of a render."""

    def __init__(self, disable):
        self._disable, self._bar = disable, None

    def show(self, progress, tell):
        if progress.note:
            tell(progress.note)
        if self._bar is None or self._bar.desc != self._name(progress):
            self.__exit__()
            self._bar = tqdm(total=progress.iterations, initial=progress.iteration - 1, disable=self._disable,
                             unit="iteration")
            self._bar.desc = self._name(progress)
        self._bar.update()
        self._bar.set_postfix(loss="%.4g" % progress.loss, remaining="%.0fs" % progress.remaining, refresh=False)

    def _name(self, progress):
        return "%dx%d" % (progress.width, progress.height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bar is not None:
            self._bar.close()


def _say(progress, shown):
    numbers = {key: value for key, value in progress._asdict().items() if key not in ("x", "curvature")}
    print(json.dumps(dict(numbers, preview=bool(shown))), flush=True)


def _end_with_stdin():
    """End this process when whoever started it is gone, whatever it is doing."""
    def watch():
        while os.read(0, 4096):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
