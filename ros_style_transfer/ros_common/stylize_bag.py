"""The program ``stylize_bag``: bags with their image topics painted, or a video of one topic.

Data flow::

    IN --`Source.messages`--> unchanged ----------------------------------------> `Output` (OUT.partial) --> OUT
                 \\--> frames: BagTopicStylizer, in a thread of its own --/

On workers, a long bag is divided: each part is a bag that holds only stylized frames, and what is above is done with
these frames in place of the stylizers.

Memory holds one message at a time, and the index.  An interrupted run can be continued: an unfinished `Output` holds
whole messages of IN together with their painted frames, so their number tells where to continue.

`ros.bags` reads and writes bags of ROS 1, `ros2_bags` those of ROS 2.
"""

import argparse
import bisect
import collections
import concurrent.futures
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import sys
from abc import ABC, abstractmethod
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np
from tqdm import tqdm

from ..cli import batch, common, manifest, workers
from ..controls import Controls, check, check_model, check_range
from ..errors import BagError, ImageError, OptionError
from ..media import images, video
from ..models import weights
from . import conversions
from .params import DEFAULTS, check_max_side, prefixed

PREFIX = "/style_transfer"
PARTIAL = ".partial"  # suffix of OUT while it is written
IMAGE_TYPES = ("sensor_msgs/Image", "sensor_msgs/CompressedImage")


class Message(NamedTuple):
    """A message of a bag as it is stored.

    Attributes:
        topic: its name.
        raw: what the bag's library has for it.
        stamp: when it was received, in nanoseconds.
        connection: whose message it is, in the library's type.
    """

    topic: str
    raw: Any
    stamp: int
    connection: Any


class Output(ABC):
    """A bag to write, from where it was left if it exists.  An unfinished one holds whole messages of the input."""

    @abstractmethod
    def count(self, topics: Optional[Sequence[str]] = None) -> int:
        """The number of messages that it has already, of ``topics`` or of all."""

    @abstractmethod
    def add(self, message: Message) -> None:
        """Write a message.  Its topic may be a new one, with the connection of another."""

    @abstractmethod
    def end_message(self) -> None:
        """Everything that belongs to a message of the input is written."""

    @abstractmethod
    def finish(self, path: str) -> None:
        """Complete the bag and give it its name."""


class Source(ABC):
    """A bag to read.

    Attributes:
        types: ``{topic: type}``, types as in `IMAGE_TYPES`.
        files: paths of its files.
    """

    types: Dict[str, str]
    files: List[str]

    @abstractmethod
    def count(self, topics: Optional[Sequence[str]] = None) -> int:
        """The number of messages, of ``topics`` or of all."""

    @abstractmethod
    def rate(self, topic: str) -> Optional[float]:
        """Messages per second, if known."""

    @abstractmethod
    def messages(
        self, topics: Optional[Sequence[str]] = None, start: Optional[int] = None, stop: Optional[int] = None
    ) -> Iterator[Message]:
        """All messages, or those of ``topics``, by their times.

        Args:
            start, stop: the first time in nanoseconds, and the one after the last; None: the bag's.

        Raises:
            BagError: the bag is damaged.
        """

    @abstractmethod
    def times(self, topics: Sequence[str]) -> List[int]:
        """When the messages of ``topics`` were received, in nanoseconds, ascending."""

    @abstractmethod
    def read_image(self, message: Message) -> Any:
        """A message of one of `IMAGE_TYPES`, deserialized."""

    @abstractmethod
    def raw_image(self, rgb: np.ndarray, original: Any) -> Any:
        """A picture as the raw message of the type, format and header of the deserialized ``original``."""

    @abstractmethod
    def output(self, partial: str) -> Output:
        """The `Output` at the path ``partial``, of this bag's kind."""

    def __enter__(self) -> "Source":
        return self

    @abstractmethod
    def __exit__(self, *_: Any) -> None:
        """Close the bag."""


OpenBag = Callable[[str], Source]


def parser() -> argparse.ArgumentParser:
    """The parser of the command line.  Options that are not given are None, so that one without effect is noticed."""
    command = common.Parser(
        prog="stylize_bag",
        usage="%(prog)s IN ... -o OUT --topic T [--topic T ...] [--style S ...] [option ...]",
        description="Paint image topics of bags like the node, by default in the style %s. Stamps are kept, and "
        "everything else is copied unchanged. After a kill or Ctrl-C the same command continues."
        % ", ".join(DEFAULTS.style),
    )
    command.add_argument("input", nargs="+", metavar="IN", help="a .bag of ROS 1, or a folder, .mcap or .db3 of ROS 2")
    common.add_output_options(
        command,
        "the bag to write, of the kind of IN, or with one --topic a video (%s); a folder for several IN, or if it ends "
        "in /" % ", ".join(video.CODECS),
        several=True,
    )
    command.add_argument(
        "--topic",
        action="append",
        required=True,
        metavar="T",
        help="a topic of sensor_msgs/Image or CompressedImage to paint; may be given several times",
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--prefix", default=PREFIX, metavar="P", help="put before T to name the painted topic (default: %(default)s)"
    )
    where.add_argument("--replace", action="store_true", help="replace the original frames of T by the painted ones")
    command.add_argument(
        "--max-side",
        type=int,
        default=DEFAULTS.max_side,
        metavar="N",
        help="scale frames down to this longer side; 0 (the default) keeps their size",
    )
    command.add_argument("--seed", type=int, metavar="N", help="seed of the style `random` (default: 0)")
    workers.add_options(command)
    common.add_model_options(command)
    common.add_painting_options(command)
    common.add_verbose(command)
    return command


def main(arguments: List[str], open_bag: OpenBag) -> None:
    """Run the command line; errors are one sentence on stderr and exit code 1.

    Args:
        open_bag: a function of a module, so that workers find it; returns the bag at a path, or raises `BagError`.
    """
    common.report_errors(
        lambda: stylize_bags(parser().parse_args(arguments), open_bag), verbose="--verbose" in arguments
    )


class BagJob(NamedTuple):
    """A bag to stylize: paths."""

    input: str
    output: str


def stylize_bags(args: argparse.Namespace, open_bag: OpenBag) -> None:
    """Paint what the command line names."""
    check_model(args.model, args.precision)
    controls = common.controls_of(args)
    check(controls, args.model)
    check_range("--max-memory", args.max_memory, 0, 1e7)
    workers.are_wanted(args)
    paths = _styles(args, controls)
    common.check_painting_options(args, len(paths), controls)
    prefixed("--max-side", check_max_side, args.max_side)
    jobs, folder = _plan(args, open_bag)
    styles, mask = [images.read(path) for path in paths], common.read_mask(args.mask, len(paths))
    _, entry = weights.load(args.model, args.weights_dir)
    for note in common.style_advisories(args, paths, mask):
        common.print_message(note)
    options = dict(
        controls.resolved(args.model)._asdict(),
        style=[_digest(rgb) for rgb in styles],
        style_weights=args.style_weights,
        mask=None if mask is None else _digest(mask),
        model=args.model,
        weights_dir=entry["sha256"],
        precision=args.precision,
        max_side=args.max_side,
        topic=args.topic,
        prefix=args.prefix,
        replace=args.replace,
    )
    batch.run(
        args,
        jobs,
        options,
        folder,
        lambda job: manifest.Result(job.output, [job.input, *paths, *filter(None, [args.mask])]),
        functools.partial(BagRunner, open_bag, args, options, paths),
        "frame" if workers.are_wanted(args) else "bag",
        divisible=True,
    )


def _plan(args: argparse.Namespace, open_bag: OpenBag) -> Tuple[List[BagJob], Optional[str]]:
    """The bags to stylize, and the folder of their outputs if -o is one."""
    if len(args.input) == 1 and not os.path.isdir(args.output) and not args.output.endswith(os.sep):
        jobs, folder = [BagJob(args.input[0], args.output)], None
        with open_bag(args.input[0]) as source:  # what is wrong with the only bag is said at once
            _painted_names(args, args.input[0], source)
        if video.has_extension(args.output):
            _check_video_output(args)
    else:
        folder = args.output
        jobs = [BagJob(path, os.path.join(folder, os.path.basename(path))) for path in args.input]
    inputs, outputs = {os.path.realpath(path) for path in args.input}, set()
    for job in jobs:
        common.check_writable(job.output)
        if os.path.realpath(job.output) in inputs:
            raise OptionError("the output %s would overwrite an input; choose another -o" % job.output)
        if job.output in outputs:
            raise OptionError("several bags have the name of %s; use different folders" % job.input)
        outputs.add(job.output)
    return jobs, folder


class BagRunner:
    """Stylizes one bag after another with the same model; the task of a worker, see `cluster.Worker`.

    Args:
        open_bag: returns the bag at a path.
        args: the command line, checked.
        options: everything but the inputs that results depend on.
        paths: of the styles.
        choice: the precision; None: that of the command line.
        max_memory: megabytes of this process; None: that of the command line.
        notify: called with sentences for the user.
        in_worker: answer to long bags with their parts, and show no progress.
    """

    def __init__(
        self,
        open_bag: OpenBag,
        args: argparse.Namespace,
        options: Mapping[str, Any],
        paths: Sequence[str],
        choice: Optional[str],
        max_memory: Optional[float],
        notify: Callable[[str], Any],
        in_worker: bool,
    ) -> None:
        self._open = open_bag
        self._args, self._options, self._precision = args, options, choice or args.precision
        self._max_memory = args.max_memory if max_memory is None else max_memory
        self._notify, self._in_worker = notify, in_worker
        self._controls = common.controls_of(args)
        self._styles, self._paths = [images.read(path) for path in paths], paths
        self._mask = common.read_mask(args.mask, len(paths))
        self._stylizers: Dict[Tuple[str, int], Any] = {}  # by precision and number

    @property
    def choice(self) -> str:
        """The precision, never ``auto``."""
        return self._stylizer(self._precision, 0).precision

    def _stylizer(self, precision: str, number: int) -> Any:
        # Importing TensorFlow takes seconds: everything that can be wrong is reported before.
        from ..stylizer import Stylizer

        if (precision, number) not in self._stylizers:
            stylizer = Stylizer(self._args.model, precision, self._args.weights_dir, max_memory=self._max_memory)
            if self._styles:
                stylizer.set_styles(self._styles, self._args.style_weights)
            self._stylizers[precision, number] = self._stylizers[stylizer.precision, number] = stylizer
        return self._stylizers[precision, number]

    def _topic_stylizers(self, source: Source, topics: Sequence[str], precision: str) -> Dict[str, "BagTopicStylizer"]:
        """What paints the frames of a bag, by topic."""
        found = {}
        for number, topic in enumerate(topics):
            # With smoothing each camera needs its own, which keeps that camera's previous frames.
            stylizer = self._stylizer(precision, number if self._controls.smoothing else 0)
            stylizer.reset()
            found[topic] = BagTopicStylizer(
                topic, source, stylizer, self._controls, self._mask, self._args.max_side, self._notify
            )
        return found

    def __call__(self, unit: Any) -> Any:
        """Do a `BagJob`, or another unit of `workers.run`; returns the number of frames, or `workers.Divided`."""
        if isinstance(unit, workers.Part):
            return self._stylize_part(unit)
        if isinstance(unit, workers.Join):
            return self._join(unit)
        return (self._in_worker and self._divide(unit)) or self._stylize(unit)

    def _stylize(self, job: BagJob, parts: Optional["PartFrames"] = None) -> int:
        """Write the output, its frames from the ``parts`` if they are given; returns the number of frames."""
        with self._open(job.input) as source:
            names = _painted_names(self._args, job.input, source)
            if video.has_extension(job.output):
                topics = self._topic_stylizers(source, list(names), self._precision)
                for topic in names:
                    _write_video(job, source, topic, topics[topic], self._notify, self._in_worker)
                return source.count(list(names))
            files = [(os.path.realpath(file), os.stat(file)) for file in source.files]
            settings = dict(
                self._options,
                topic=names,
                input=[[path, status.st_size, status.st_mtime_ns] for path, status in files],
            )
            with RunRecord(job.output + PARTIAL, settings, self._args.overwrite) as record:
                precision = record.chosen.get("precision", self._precision)
                if parts is None:
                    precision = self._stylizer(precision, 0).precision
                # auto chooses once, also for the runs that continue this one.
                record.choose(precision=precision)
                painters: Dict[str, Any] = dict.fromkeys(names, parts)
                if parts is None:
                    painters = dict(self._topic_stylizers(source, list(names), precision))
                repaint = parts is not None or self._controls.smoothing > 0
                _write(self._args, job, source, names, painters, repaint, self._notify, self._in_worker)
            return source.count(list(names))

    def _divide(self, job: BagJob) -> Optional[workers.Divided]:
        """The parts of a bag; None if it is short, begun in one piece, or becomes a video."""
        if video.has_extension(job.output):
            return None
        if os.path.exists(job.output + PARTIAL) and not os.path.exists(job.output + workers.PARTS):
            return None
        with self._open(job.input) as source:
            times = source.times(list(_painted_names(self._args, job.input, source)))
        limits = _limits(times, workers.segment_seconds(self._args))
        if len(limits) < 2:
            return None
        inputs = [job.input, *self._paths, *filter(None, [self._args.mask])]
        parts, join = workers.remaining_parts(self._args, self._options, job, limits, inputs, ".bag")
        return workers.Divided(parts, join, sum(_frames_between(times, part.first, part.stop) for part in parts))

    def _stylize_part(self, part: workers.Part) -> int:
        """Write a bag of the part's stylized frames; the time of each is its number in the part, in seconds from 1."""
        with self._open(part.whole.input) as source:
            names = _painted_names(self._args, part.whole.input, source)
            stylizers = self._topic_stylizers(source, list(names), self._precision)
            start = part.first
            lead = workers.lead(self._controls.smoothing)
            for topic in names if lead else ():
                times = source.times([topic])
                before = bisect.bisect_left(times, part.first)
                start = min([start, *times[max(0, before - lead) : before]])
            os.makedirs(os.path.dirname(part.path), exist_ok=True)
            remove(part.path + PARTIAL)  # of a worker that was killed
            output, number = source.output(part.path + PARTIAL), 0
            for message in source.messages(list(names), start, part.stop):
                painted = stylizers[message.topic].paint(message)
                if message.stamp < part.first:  # only for the smoothing of those that follow
                    continue
                number += 1
                if painted is not None:
                    stamp = number * 10**9
                    output.add(message._replace(topic=names[message.topic], raw=painted, stamp=stamp))
                    output.end_message()
            output.finish(part.path)
        return number

    def _join(self, join: workers.Join) -> int:
        """Write a bag from its parts and remove them; returns 0, since its frames have been counted."""
        with self._open(join.whole.input) as source:
            times = source.times(list(_painted_names(self._args, join.whole.input, source)))
        limits = [*_limits(times, workers.segment_seconds(self._args)), None]
        counts = [_frames_between(times, *pair) for pair in zip(limits, limits[1:])]
        self._stylize(join.whole, PartFrames(self._open, list(zip(join.paths, counts))))
        shutil.rmtree(os.path.dirname(join.paths[0]))
        return 0


class PartFrames:
    """The stylized frames of a bag, in order, from its parts.

    Args:
        open_bag: returns the bag at a path.
        parts: (path, number of the frames in the original) of each.
    """

    def __init__(self, open_bag: OpenBag, parts: Sequence[Tuple[str, int]]) -> None:
        self._open = open_bag
        self._frames = (frame for path, count in parts for frame in self._read(path, count))

    def _read(self, path: str, count: int) -> Iterator[Any]:
        given = 0
        with self._open(path) as part:
            for message in part.messages():
                number = message.stamp // 10**9
                yield from [None] * (number - 1 - given)  # frames that could not be painted
                yield message.raw
                given = number
        yield from [None] * (count - given)

    def paint(self, message: Message) -> Any:
        """The next raw frame, as `BagTopicStylizer.paint` returned it."""
        return next(self._frames)


def _limits(times: Sequence[int], seconds: float) -> List[int]:
    """Where segments of that length begin, each with the time of a frame."""
    limits: List[int] = []
    for time in times:
        if not limits or time >= limits[-1] + seconds * 1e9:
            limits.append(time)
    return limits


def _frames_between(times: Sequence[int], first: int, stop: Optional[int]) -> int:
    """The number of ``times`` from ``first`` on and before ``stop``; None: to the end."""
    return (len(times) if stop is None else bisect.bisect_left(times, stop)) - bisect.bisect_left(times, first)


def _styles(args: argparse.Namespace, controls: Controls) -> List[str]:
    """The paths of the styles, which default to the node's."""
    names = args.style or ([] if controls.method == "whiten" else DEFAULTS.style)
    if args.seed is not None and (args.seed < 0 or "random" not in names):
        raise OptionError("--seed needs --style random and must be at least 0, not %d" % args.seed)
    return common.find_styles(names, args.seed or 0)  # the same each time, so that a run can be continued


def _painted_names(args: argparse.Namespace, path: str, source: Source) -> Dict[str, str]:
    """``{topic: name of the painted topic}`` of all ``--topic``.

    Raises:
        OptionError: a topic is not in the bag or not an image, or the name of a painted topic is in use.
    """
    types = source.types
    listed = ", ".join("%s (%s)" % item for item in types.items() if item[1] in IMAGE_TYPES) or "none"
    names = {}
    for topic in args.topic:
        if topic not in types:
            raise OptionError("there is no topic %s in %s; its image topics: %s" % (topic, path, listed))
        if types[topic] not in IMAGE_TYPES:
            raise OptionError(
                "the topic %s in %s is of type %s; its image topics: %s" % (topic, path, types[topic], listed)
            )
        names[topic] = topic if args.replace else args.prefix.rstrip("/") + "/" + topic.lstrip("/")
        if names[topic] in types and not args.replace:
            raise OptionError(
                "the topic %s is in %s already; choose another --prefix than %s" % (names[topic], path, args.prefix)
            )
    return names


class BagTopicStylizer:
    """Paints the frames of one topic.

    Args:
        topic: its name.
        source: the bag.
        stylizer: `stylizer.Stylizer`.
        controls: `controls.Controls`.
        mask: labels, or None.
        max_side: frames are scaled down to this longer side; 0 keeps their size.
        notify: called with a sentence about frames that cannot be painted.
    """

    def __init__(
        self,
        topic: str,
        source: Source,
        stylizer: Any,
        controls: Controls,
        mask: Optional[np.ndarray],
        max_side: int,
        notify: Callable[[str], Any],
    ) -> None:
        self._topic = topic
        self._source = source
        self._stylizer = stylizer
        self._controls = controls
        self._mask = mask
        self._max_side, self._notify = max_side, notify
        self._reported: Set[str] = set()  # reasons

    def paint(self, message: Message) -> Any:
        """The raw painted frame; None if it cannot be painted, which is reported once per reason."""
        with self._reporting("copied"):
            original = self._source.read_image(message)
            return self._source.raw_image(self._paint(original), original)
        return None

    def paint_rgb(self, message: Message) -> Optional[np.ndarray]:
        """The same as RGB uint8 ``[h,w,3]``."""
        with self._reporting("left out"):
            return self._paint(self._source.read_image(message))
        return None

    @contextlib.contextmanager
    def _reporting(self, consequence: str) -> Iterator[None]:
        """Report an error instead of raising it: one frame must not end the run."""
        try:
            yield
        except Exception as error:
            reason = re.sub(r"\d+", "", str(error))
            if reason not in self._reported:
                self._reported.add(reason)
                self._notify("a frame of %s cannot be painted and is %s: %s" % (self._topic, consequence, error))

    def _paint(self, message: Any) -> np.ndarray:
        if conversions.is_empty(message):
            raise ImageError("it has no pixels, as image_publisher sends one whenever its clip rewinds")
        rgb = images.limit_longest_side(conversions.to_rgb(message), self._max_side)
        return self._stylizer.stylize(rgb, self._controls, self._mask)


def _check_video_output(args: argparse.Namespace) -> None:
    """Raise unless the options fit a video as the output."""
    video.check_extension(args.output)
    if len(args.topic) > 1:
        raise OptionError("a video shows one --topic, not %d; write a bag, or one video for each" % len(args.topic))
    for option, given in (("--replace", args.replace), ("--prefix", args.prefix != PREFIX)):
        if given:
            raise OptionError("%s is for bags, but %s is a video" % (option, args.output))


def _write_video(
    job: BagJob, source: Source, topic: str, frames: BagTopicStylizer, notify: Callable[[str], Any], in_worker: bool
) -> None:
    """Write the painted frames of a topic as a video at the topic's rate, each for as long as it was the newest."""
    fps = video.writable_fps(min(video.MAX_FPS, source.rate(topic) or video.DEFAULT_FPS))
    start, written, last = None, 0, None
    try:
        with video.Writer(job.output, fps) as writer, tqdm(
            total=source.count([topic]), unit="frame", disable=in_worker
        ) as bar:
            for message in source.messages([topic]):
                start = message.stamp if start is None else start
                due = round((message.stamp - start) / 1e9 * fps)  # frames before this one
                while last is not None and written < due:
                    writer.write(last)
                    written += 1
                painted = frames.paint_rgb(message)
                last = last if painted is None else painted
                bar.update()
            if last is not None:
                writer.write(last)
                written += 1
    except KeyboardInterrupt:
        notify("stopped; %s contains the first %d frames" % (job.output, written))
        raise
    if not written:
        raise BagError("no frame of %s could be painted" % topic)
    notify("%s: %d frames at %.4g frames per second" % (job.output, written, fps))


def _write(
    args: argparse.Namespace,
    job: BagJob,
    source: Source,
    names: Mapping[str, str],
    topics: Mapping[str, Any],
    repaint: bool,
    notify: Callable[[str], Any],
    in_worker: bool,
) -> None:
    """Write the output, or the rest of it.

    Args:
        names: the painted topics' names by topic.
        topics: the `BagTopicStylizer` of each topic, or the `PartFrames` of all.
        repaint: paint the frames that are written already once more, since later ones depend on them.
        notify: called with sentences for the user.
        in_worker: show no progress.
    """
    partial = job.output + PARTIAL
    output = source.output(partial)
    # Each original has at most one painted frame.
    done = output.count() - (0 if args.replace else output.count(list(names.values())))
    if done and not in_worker:
        notify(
            "continuing after the %d messages that are in %s%s"
            % (done, partial, "; smoothing needs their frames painted again" if repaint else "")
        )
    outcomes: Dict[str, int] = collections.Counter()
    worker = concurrent.futures.ThreadPoolExecutor(1)  # TensorFlow reacts to a signal only after its picture
    total = source.count(list(names))
    try:
        with tqdm(total=total, unit="frame", desc=os.path.basename(job.output), disable=in_worker) as bar:
            for number, message in enumerate(source.messages(), 1):
                topic, painted = message.topic, None
                if topic in topics and (number > done or repaint):
                    painted = worker.submit(topics[topic].paint, message).result()
                if number > done:
                    outcomes["copied" if topic not in topics else "failed" if painted is None else "painted"] += 1
                    if painted is None or not args.replace:
                        output.add(message)
                    if painted is not None:
                        output.add(message._replace(topic=names[topic], raw=painted))
                    output.end_message()
                bar.update(topic in topics)
        if not args.overwrite:
            _refuse_existing(job.output)
        if os.path.isdir(job.output):
            remove(job.output)
        output.finish(job.output)
    except KeyboardInterrupt:
        common.print_message("stopped; the same command continues with %s" % partial)
        sys.stderr.flush()
        os._exit(130)  # or Python would wait for the picture, and close a chunk in the middle of a message
    except OSError as error:
        raise BagError(
            "cannot write %s: %s; the same command continues once that is solved" % (partial, error.strerror or error)
        ) from None
    notify(
        "%s: %d frames painted, %d that could not be painted and %d other messages copied"
        % (job.output, outcomes["painted"], outcomes["failed"], outcomes["copied"])
    )


def remove(path: str) -> None:
    """Remove a bag, a file or a folder, if it exists."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.remove(path)


def _refuse_existing(path: str) -> None:
    if os.path.exists(path):
        raise OptionError("%s exists already; --overwrite replaces it" % path)


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes() + repr(array.shape).encode()).hexdigest()


class RunRecord:
    """The settings with which a partial bag was started, in a file next to it: a context that removes the file once
    the bag is finished.

    Args:
        partial: path of the bag.
        settings: anything that JSON can hold.
        overwrite: start over if the partial bag was started with other settings.

    Attributes:
        chosen: ``{name: value}`` that the first run chose by itself, see `choose`.

    Raises:
        BagError: the partial bag was started with other settings, or another process is writing it.
    """

    def __init__(self, partial: str, settings: Mapping[str, Any], overwrite: bool = False) -> None:
        self._partial, self._path = partial, partial + ".json"
        self.chosen: Dict[str, Any] = {}
        self._settings = settings = json.loads(json.dumps(settings))  # as it will be read
        try:
            os.makedirs(os.path.dirname(os.path.abspath(partial)), exist_ok=True)
            self._file = open(self._path, "a+")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(partial) and not (overwrite and self._differs()):
                self._check(settings)
            else:
                remove(partial)
                self._write(settings)
        except BlockingIOError:
            raise BagError("%s is being written by another process" % partial) from None
        except OSError as error:
            raise BagError("cannot write %s: %s" % (self._path, error.strerror)) from None

    def choose(self, **values: Any) -> None:
        """Remember these values for the runs that continue this one."""
        if values != self.chosen:
            self.chosen = values
            self._write(dict(self._settings, chosen=values))

    def _write(self, content: Mapping[str, Any]) -> None:
        self._file.truncate(0)
        json.dump(content, self._file)
        self._file.flush()

    def _differs(self) -> bool:
        try:
            self._check(self._settings)
            return False
        except BagError:
            return True

    def _check(self, settings: Mapping[str, Any]) -> None:
        self._file.seek(0)
        try:
            before = json.load(self._file)
            different = [name for name in settings if before[name] != settings[name]]
            self.chosen = before.get("chosen", {})
        except (ValueError, TypeError, KeyError):
            raise BagError(
                "%s does not tell how %s was started; remove both to start over" % (self._path, self._partial)
            ) from None
        if different:
            raise BagError(
                "%s was started with another %s; use the same to continue, or remove it to start over"
                % (self._partial, ", ".join(different))
            )

    def __enter__(self) -> "RunRecord":
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None or not os.path.exists(self._partial):
            os.remove(self._path)
        self._file.close()
