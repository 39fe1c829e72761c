"""The command ``render``: one picture by optimisation.  The node runs it as a process for each of its renders."""
import argparse
import json
import os
import threading
from typing import Any, Callable, Optional

from tqdm import tqdm

from ..controls import check_range, check_styles
from ..errors import OptionError
from ..media import images
from ..models import weights
from ..render.options import DESCRIPTIONS, INITS, PRESETS, check, options_from
from .common import STYLE_HELP, STYLE_WEIGHTS_HELP, find_styles, option_of, print_message, read_mask
from .inputs import Job, check_files


def add_to(commands: Any) -> None:
    """Add the command ``render`` to the command line's ``commands``."""
    parser = commands.add_parser(
        "render", help="render one picture by optimisation (Gatys et al.): slow, with the highest quality",
        usage="%(prog)s CONTENT --style S ... -o OUT [option ...]",
        description="Optimise a picture until its features match the content's and their statistics match the "
                    "style's (Gatys, Ecker, Bethge 2015), from small to large.")
    parser.add_argument("content", metavar="CONTENT", help="a picture")
    parser.add_argument("--style", nargs="+", required=True, metavar="S", help=STYLE_HELP)
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="the picture to write")
    parser.add_argument("--style-weights", nargs="+", type=float, metavar="W", help=STYLE_WEIGHTS_HELP)
    parser.add_argument("--mask", metavar="M",
                        help="a picture of labels: 0 leaves the content unchanged, n applies the n-th style")
    parser.add_argument("--size", type=int, metavar="N", help="resize the content to this longer side first")
    parser.add_argument("--preset", default="default", help="%s (default: %%(default)s)"
                        % ", ".join(PRESETS))
    parser.add_argument("--network-weights", metavar="FILE",
                        help="VGG's weights, .h5 or .npz (default: those that `weights fetch` downloaded)")
    parser.add_argument("--preview", metavar="FILE", help="write intermediate pictures there, see --every")
    parser.add_argument("--every", type=int, default=10, metavar="N", help="iterations between previews (default: 10)")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted render with the same arguments")
    parser.add_argument("--threads", type=int, metavar="N", help="number of cores to use (default: all)")
    parser.add_argument("--json", action="store_true",
                        help="print progress on stdout as lines of JSON; exit when stdin is closed")
    options = parser.add_argument_group("options; the defaults are those of the preset `default`")
    for name, (_, help) in DESCRIPTIONS.items():
        default = getattr(PRESETS["default"], name)
        shown = ",".join("%s:%g" % pair for pair in default.items()) if isinstance(default, dict) else default
        options.add_argument(option_of(name), metavar=name[0].upper(), help="%s (default: %s)" % (help, shown))


def run(args: argparse.Namespace) -> None:
    """Render what the command line names."""
    options = options_from({name: getattr(args, name) for name in DESCRIPTIONS}, args.preset)
    from_picture = options.init not in INITS
    check(options)
    for name, low, high in (("size", images.MIN_SIDE, images.MAX_SIDE), ("every", 1, 100000), ("threads", 1, 1024)):
        if getattr(args, name) is not None:
            check_range("--" + name, getattr(args, name), low, high)
    if options.network == "compact" and args.network_weights:
        raise OptionError("--network-weights is for VGG, but the network is compact; choose --network vgg16 or vgg19")
    paths = find_styles(args.style, options.seed if "random" in args.style else None)
    check_styles(len(paths), args.style_weights or (), args.mask is not None)
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
        _exit_with_stdin()

    # TensorFlow's import takes seconds, so every check comes before it.
    from ..models.device import share_threads
    from ..render.checkpoint import STATE, State
    from ..render.renderer import Renderer
    from ..stylizer import Stylizer

    if args.threads:
        share_threads(args.threads)
    state = State(args.output + STATE, options, content, styles, args.style_weights, mask)
    start = state.read() if args.resume else None
    renderer = Renderer(options, args.network_weights)
    if options.init == "wct" and start is None:
        stylizer = Stylizer("cascade", "float32")
        stylizer.set_styles(styles, args.style_weights)
        initial = stylizer.stylize(content, mask=mask)
    progress = start  # stays so if the interrupted render was already complete
    with Bar(disable=args.json) as bar:
        try:
            for progress in renderer.render(content, styles, args.style_weights, mask, initial, start):
                bar.show(progress, print_message)
                previewed = args.preview and progress.iteration % args.every == 0
                if previewed:
                    images.write(args.preview, renderer.picture(progress.x, content, mask))
                if args.json:
                    _print_progress(progress, previewed)
                state.keep(progress)
        except KeyboardInterrupt:
            if progress is not start:
                state.keep(progress, now=True)
                print_message("stopped; `--resume` continues from iteration %d at %dx%d"
                              % (progress.iteration, progress.width, progress.height))
            raise
    images.write(args.output, renderer.picture(progress.x, content, mask), alpha)
    state.forget()


class Bar:
    """A progress bar for each size of a render."""

    def __init__(self, disable: bool) -> None:
        self._disable = disable
        self._bar: Optional[tqdm] = None

    def show(self, progress: Any, notify: Callable[[str], Any]) -> None:
        """Show the progress; its note, if it has one, goes to ``notify``."""
        if progress.note:
            notify(progress.note)
        title = "%dx%d" % (progress.width, progress.height)
        if self._bar is None or self._bar.desc != title:
            self.__exit__()
            self._bar = tqdm(total=progress.iterations, initial=progress.iteration - 1, disable=self._disable,
                             unit="iteration")
            self._bar.desc = title
        self._bar.update()
        self._bar.set_postfix(loss="%.4g" % progress.loss, remaining="%.0fs" % progress.remaining, refresh=False)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.close()


def _print_progress(progress, previewed):
    numbers = {key: value for key, value in progress._asdict().items() if key not in ("x", "curvature")}
    print(json.dumps(dict(numbers, preview=bool(previewed))), flush=True)


def _exit_with_stdin():
    """End this process when its stdin is closed, because the program that started it is gone."""
    def watch():
        while os.read(0, 4096):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
