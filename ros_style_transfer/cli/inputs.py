"""What the command ``stylize`` is asked to do, planned and checked before TensorFlow's import.

Data flow: arguments -> `plan_jobs` -> a `Job` for each output -> `check`, `common.read_mask`, `advisories`.
"""

import argparse
import csv
import functools
import os
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..controls import Controls, check_range
from ..errors import ImageError, OptionError, StyleError
from ..media import images, video
from ..media.style_library import StyleLibrary, suggestion
from . import common
from .manifest import Result

PAIRS_SIDE = 512  # the longer side of both pictures of a pair, as in the literature's comparisons


class Job(NamedTuple):
    """One output of the command line.

    Attributes:
        content: path of a picture or a video, or a webcam's number; None: a texture.
        styles: paths of pictures.
        output: the path to write.
        side: longer side that the content is resized to; 0: its own.
        style_side: the same for the styles.
    """

    content: Optional[str]
    styles: List[str]
    output: str
    side: int = 0
    style_side: int = 0

    def is_video(self) -> bool:
        """Whether frames are stylized: of a video, a webcam, or an animated picture that becomes a video."""
        if self.content is None:
            return False
        return is_video_source(self.content) or (video.has_extension(self.output) and _is_animation(self.content))


@functools.lru_cache(maxsize=None)
def is_video_source(content: str) -> bool:
    """Whether ``content`` names a video or a webcam."""
    return video.is_video(content) or (video.webcam_number(content) is not None and not os.path.isfile(content))


_is_animation = functools.lru_cache(maxsize=None)(video.is_animation)


def is_table(contents: Sequence[str]) -> bool:
    """Whether ``contents`` include a table of pairs."""
    return any(name.lower().endswith(".csv") for name in contents)


def plan_jobs(args: argparse.Namespace) -> List[Job]:
    """The jobs that the command line asks for, at least one.

    Raises:
        OptionError, ImageError, StyleError: the arguments are incomplete or contradict each other.
    """
    _check_numbers(args)
    for content in args.content:
        if content.lower().endswith(".bag"):
            raise OptionError(
                "%s is a ROS bag; stylize its topics with `rosrun ros_style_transfer stylize_bag %s`, see doc/bags.md"
                % (content, content)
            )
    if is_table(args.content):
        if len(args.content) > 1:
            raise OptionError("a .csv of pairs must be the only CONTENT")
        side = args.size or PAIRS_SIDE
        return [
            Job(content, [style], _in_folder(args.output, "%02d" % n, content), side, side)
            for n, (content, style) in enumerate(read_pairs(args.content[0]))
        ]
    if not args.content and not args.texture:
        raise OptionError(
            "give CONTENT to stylize, or --texture WxH%s"
            % ("; CONTENT goes before --style, which takes everything after it" if args.style else "")
        )
    if args.content and args.texture:
        raise OptionError("a texture has no content: give either CONTENT or --texture, not both")
    if not args.style and (args.method != "whiten" or args.texture):
        raise OptionError("give a style with --style (see `python -m ros_style_transfer styles`)")
    styles = common.find_styles(args.style or [], args.seed)
    if args.texture:
        return [Job(None, styles, args.output)]
    contents = pictures_of(args.content)
    outputs = outputs_for(args.output, args.content, contents)
    return [Job(content, styles, output, args.size or 0) for content, output in zip(contents, outputs)]


def pictures_of(contents: Sequence[str]) -> List[str]:
    """``contents`` with the pictures of each folder in its place."""
    return [path for content in contents for path in (pictures_in(content) if os.path.isdir(content) else [content])]


def outputs_for(output: str, given: Sequence[str], contents: Sequence[str]) -> List[str]:
    """The outputs of all ``contents``: the file ``output`` for a single one, else files in this folder.

    Args:
        given: the contents before folders were replaced by their pictures.
    """
    if list(contents) == list(given[:1]) and not os.path.isdir(output) and not output.endswith(os.sep):
        return [output]
    return [_in_folder(output, common.stem(content), content) for content in contents]


def pictures_in(folder: str) -> List[str]:
    """The paths of the pictures in ``folder``, sorted."""
    paths = [os.path.join(folder, name) for name in _names_in(folder)]
    paths = [path for path in paths if path.lower().endswith(images.EXTENSIONS) and not os.path.isdir(path)]
    if not paths:
        raise ImageError("no pictures in the folder %s (%s)" % (folder, ", ".join(images.EXTENSIONS)))
    return paths


def _names_in(folder: str) -> List[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise ImageError("cannot read the folder %s: %s" % (folder, error.strerror)) from None


def _in_folder(folder: str, name: str, content: str) -> str:
    """The output path in ``folder`` for ``content``."""
    if not os.path.isdir(folder) and folder.lower().endswith(images.EXTENSIONS + video.EXTENSIONS):
        raise OptionError(
            "several CONTENT, a folder and a .csv need a folder for their outputs, but -o %s is the "
            "name of a file" % folder
        )
    return os.path.join(folder, name + (".mp4" if is_video_source(content) else ".png"))


def read_pairs(path: str) -> List[Tuple[str, str]]:
    """``[(content path, style path), ...]`` from a .csv file with the columns content and style.

    Paths are relative to the file; a style may be the name of an included one.
    """
    folder, known = os.path.dirname(os.path.abspath(path)), StyleLibrary().paths()

    def find(name: str) -> str:
        return os.path.join(folder, os.path.expanduser(name))

    def find_style(name: str) -> str:
        if os.path.isfile(find(name)) or os.sep in name or "." in name:
            return find(name)
        if name not in known:
            raise StyleError(
                "%s: unknown style %r%s: it is neither a picture nor one of %s"
                % (path, name, suggestion(name, known), ", ".join(known))
            )
        return known[name]

    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # spreadsheets may write a BOM
            rows = list(csv.DictReader(file))
        pairs = [(find(row["content"]), find_style(row["style"])) for row in rows]
        if not pairs:
            raise ValueError("no rows")
        return pairs
    except KeyError as error:
        raise OptionError(
            "cannot read pairs from %s: no column %s; its first line must be content,style" % (path, error)
        ) from None
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise OptionError("cannot read pairs from %s (columns content,style): %s" % (path, error)) from None


def check(args: argparse.Namespace, jobs: Sequence[Job], controls: Controls) -> None:
    """Raise for options without effect, inputs that do not exist, and outputs that cannot be written."""
    _reject_ineffective(args, jobs, controls)
    check_files(jobs, [*args.content, args.mask])
    if len(jobs) == 1 and jobs[0].content and not jobs[0].is_video():  # of several, those that can be read are stylized
        images.check_readable(jobs[0].content)
    for job in jobs:
        if job.is_video():
            _check_video(args, str(job.content), job.output)


def check_distributable(args: argparse.Namespace, jobs: Sequence[Job]) -> None:
    """Raise for what workers cannot do: a texture, which is one picture, and webcams, which are on this machine."""
    if args.texture:
        raise OptionError("a texture is a single picture; leave out --workers and --ray")
    for job in jobs:
        if job.is_video() and not os.path.isfile(str(job.content)):
            raise OptionError("workers cannot read the webcam %s; leave out --workers and --ray" % job.content)


def result(args: argparse.Namespace, job: Job) -> Result:
    """The output of a job and the files that it is made from."""
    return Result(job.output, [path for path in (job.content, *job.styles, args.mask) if path])


def result_options(args: argparse.Namespace, jobs: Sequence[Job], controls: Controls, weights: str) -> Dict[str, Any]:
    """``{option: value}``: everything but files' contents that a result depends on.

    Args:
        weights: the SHA-256 of the model's.
    """
    names = "style_weights mask size concat cycle fade frames texture model precision"
    return dict(
        controls.resolved(args.model)._asdict(),
        style=None if is_table(args.content) else list(map(os.path.realpath, jobs[0].styles)),
        weights_dir=weights,
        **{name: getattr(args, name) for name in names.split()},
    )


def _check_numbers(args: argparse.Namespace) -> None:
    for name, lowest in (("seed", 0), ("frames", 1)):
        value = getattr(args, name)
        if value is not None and value < lowest:
            raise OptionError("--%s must be at least %d, not %d" % (name, lowest, value))
    if args.size is not None:
        check_range("--size", args.size, images.MIN_SIDE, images.MAX_SIDE)
    if args.texture:
        common.parse_size(args.texture, "--texture")
    if args.cycle is not None:
        check_range("--cycle", args.cycle, 0.1, 3600.0)
        if args.fade is not None:
            check_range("--fade", args.fade, 0.0, args.cycle)


def _reject_ineffective(args: argparse.Namespace, jobs: Sequence[Job], controls: Controls) -> None:
    """Raise for options without effect, because a user who gives one expects an effect."""
    styles, videos = len(jobs[0].styles), sum(job.is_video() for job in jobs)
    common.reject_ineffective(
        args,
        (
            (
                is_table(args.content),
                "style style_weights texture",
                "cannot be combined with a .csv of pairs, which names a style for each",
            ),
            (controls.method == "whiten", "concat", "has no effect with the method whiten, which uses no style"),
            (args.texture, "mask size keep_colours", "refers to CONTENT, but a texture has none"),
            (
                not args.texture and "random" not in (args.style or []),
                "seed",
                "is for --texture and --style random, but neither is given",
            ),
            (not videos, "cycle smoothing frames", "is for videos, but there is none"),
            (videos < len(jobs), "cycle", "is for videos, but there are pictures, too"),
            (styles < 2, "cycle", "needs several styles, but there is only one"),
            (
                args.cycle is not None,
                "style_weights mask",
                "cannot be combined with --cycle, which shows one style at a time",
            ),
            (args.cycle is None, "fade", "needs --cycle"),
        ),
    )
    common.check_painting_options(args, styles, controls)


def check_files(jobs: Sequence[Job], others: Sequence[Optional[str]] = ()) -> None:
    """Raise for inputs that do not exist, and outputs that cannot be written or would overwrite something.

    Args:
        others: paths of further inputs; None and "" are ignored.
    """
    paths = [*others, *(path for job in jobs for path in [job.content, *job.styles])]
    inputs = {os.path.realpath(path): path for path in paths if path}
    outputs: Dict[str, Optional[str]] = {}
    for job in jobs:
        for path in job.styles + ([job.content] if job.content and not job.is_video() else []):
            images.check_exists(path)
        (video if job.is_video() else images).check_extension(job.output)
        output = os.path.realpath(job.output)
        if output in inputs:
            raise OptionError(
                "the output %s would overwrite the input %s; choose another -o" % (job.output, inputs[output])
            )
        if output in outputs:
            raise OptionError(
                "%s and %s have the same name, so both would be written to %s; use different folders"
                % (outputs[output], job.content, job.output)
            )
        outputs[output] = job.content
        common.check_writable(job.output)


def _check_video(args: argparse.Namespace, path: str, output: str) -> None:
    """Raise unless the video or webcam can be read, the output encoded, and ``--cycle`` reaches the second style."""
    with video.Reader(path) as reader:
        width, height = reader.size
        if args.size:
            width, height = images.fit_longest_side(width, height, args.size, images.MIN_SIDE)
        if not args.concat:
            video.check_encodable(output, width, height, reader.fps)
        frames = frame_count(args, reader)
        if args.cycle and frames and frames <= args.cycle * reader.fps:
            raise OptionError(
                "--cycle %g never reaches the second style: only %.3g seconds of %s are stylized"
                % (args.cycle, frames / reader.fps, path)
            )


def frame_count(args: argparse.Namespace, reader: video.Reader) -> Optional[int]:
    """The number of frames to stylize; None if it is unknown."""
    return min(filter(None, (args.frames, reader.count)), default=None)


def advisories(args: argparse.Namespace, jobs: Sequence[Job], mask: Optional[np.ndarray]) -> Iterator[str]:
    """Sentences that a user should read before the work begins."""
    contents = {job.content for job in jobs}
    for job in jobs:
        if job.content and not job.is_video() and os.path.isfile(job.content) and _is_animation(job.content):
            yield (
                "only the first frame of the animation %s is stylized; to stylize all, write a video: -o %s.mp4"
                % (
                    job.content,
                    common.stem(job.content),
                )
            )
    for folder in filter(os.path.isdir, args.content):
        others = [name for name in _names_in(folder) if os.path.join(folder, name) not in contents]
        if others:
            yield "skipped in %s, because only its pictures are stylized (name videos and folders themselves): %s" % (
                folder,
                ", ".join(others[:5] + ["..."] * (len(others) > 5)),
            )
    yield from common.style_advisories(args, jobs[0].styles, mask)
