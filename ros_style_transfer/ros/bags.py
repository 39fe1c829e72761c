"""``rosrun ros_style_transfer stylize_bag``: a recording with its image topics painted.  Needs no roscore.

Data flow::

    IN.bag --messages--> as they are ---------------------------> Output (OUT.bag.partial) --> OUT.bag
                 \\--> frames: Painter, in a thread of its own --/

Memory holds one message at a time, and rosbag's index.  A run that was cut off goes on: each chunk of the
partial bag holds whole messages of IN.bag, with what was painted of them, so its count says where.
"""
import collections
import concurrent.futures
import fcntl
import hashlib
import io
import itertools
import json
import os
import re
import signal
import sys

import rosbag
import rospy
from sensor_msgs.msg import CompressedImage, Image
from tqdm import tqdm

from ..cli import common
from ..controls import CONTROLS, check, check_model, check_range, controls_from
from ..errors import BagError, ImageError, OptionError
from ..media import images
from ..models import weights
from . import conversions
from .params import DEFAULTS, check_max_side, prefixed

PREFIX = "/style_transfer"
PARTIAL = ".partial"  # after OUT, while it is written
CHUNK = 768 * 1024  # bytes until a chunk is closed, as `rosbag record` has it
KINDS = {kind._type: kind for kind in (Image, CompressedImage)}


def parser():
    """The command line's parser.  What is not given is None, so that an option without effect is noticed."""
    command = common.Parser(
        prog="rosrun ros_style_transfer stylize_bag",
        usage="%(prog)s IN.bag -o OUT.bag --topic T [--topic T ...] [--style S ...] [option ...]",
        description="Paint image topics of a bag as the node would, in the style %s, unless options say otherwise. "
                    "Stamps are kept, everything else is copied as it is. After a kill or Ctrl-C the same command "
                    "goes on." % ", ".join(DEFAULTS.style))
    command.add_argument("input", metavar="IN.bag")
    command.add_argument("-o", "--output", required=True, metavar="OUT.bag",
                         help="the bag to write; none is overwritten")
    command.add_argument("--topic", action="append", required=True, metavar="T",
                         help="a topic of sensor_msgs/Image or CompressedImage to paint; may be given several times")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--prefix", default=PREFIX, metavar="P",
                       help="what the painted topic's name begins with, before T (default: %(default)s)")
    where.add_argument("--replace", action="store_true", help="painted frames take the place of the originals, under T")
    command.add_argument("--max-side", type=int, default=DEFAULTS.max_side, metavar="N",
                         help="scale frames down to this longer side; 0 (the default) keeps their size")
    command.add_argument("--seed", type=int, metavar="N", help="of the style `random` (default: 0)")
    common.add_model_options(command)
    common.add_painting_options(command)
    return command


def main():
    """Run the command line; errors are one sentence on stderr and exit code 1."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    common.report_errors(lambda: stylize_bag(parser().parse_args(rospy.myargv()[1:])))


def stylize_bag(args):
    """Paint what the command line names."""
    check_model(args.model, args.precision)
    controls = controls_from({name: getattr(args, name) for name in CONTROLS})
    check(controls, args.model)
    check_range("--max-memory", args.max_memory, 0, 1e7)
    paths = _styles(args, controls)
    common.check_painting_options(args, len(paths), controls)
    prefixed("--max-side", check_max_side, args.max_side)
    _refuse_existing(args.output)
    common.check_writable(args.output)
    source = _open(args.input)
    names = _painted_names(args, source)
    styles, mask = [images.read(path) for path in paths], common.read_mask(args.mask, len(paths))
    _, entry = weights.load(args.model, args.weights_dir)
    status = os.stat(args.input)
    for note in common.style_advisories(args, paths, mask):
        common.print_message(note)
    with Record(args.output + PARTIAL, dict(
            controls.resolved(args.model)._asdict(), style=[_digest(rgb) for rgb in styles], weights=args.style_weights,
            mask=None if mask is None else _digest(mask), model=args.model, weights_dir=entry["sha256"],
            precision=args.precision, max_side=args.max_side, topic=names,
            input=[os.path.realpath(args.input), status.st_size, status.st_mtime_ns])) as record:
        # TensorFlow's import takes seconds: what can be known to be wrong is said before.
        from ..stylizer import Stylizer

        # What smoothing keeps of the frames before is one camera's.
        stylizers, precision = [], record.chosen.get("precision", args.precision)
        for _ in names if controls.smoothing else "1":
            stylizers.append(Stylizer(args.model, precision, args.weights_dir, max_memory=args.max_memory))
            precision = stylizers[0].precision  # auto chooses once, and for the runs that continue this one, too
        record.choose(precision=precision)
        for stylizer in stylizers if styles else ():
            stylizer.set_styles(styles, args.style_weights)
        painters = {topic: Painter(topic, stylizer, controls, mask, args.max_side)
                    for topic, stylizer in zip(names, itertools.cycle(stylizers))}
        _write(args, source, names, painters, repaint=controls.smoothing > 0)


def _styles(args, controls):
    """The paths of the styles; the node's where none is named."""
    names = args.style or ([] if controls.method == "whiten" else DEFAULTS.style)
    if args.seed is not None and (args.seed < 0 or "random" not in names):
        raise OptionError("--seed is for --style random and must be at least 0; it is %d" % args.seed)
    return common.find_styles(names, args.seed or 0)  # the same each time, or a run could not go on


def _open(path):
    """The bag at ``path``, for reading.

    Raises:
        BagError: there is none, or it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            encrypted = b"encryptor=" in file.read(4096)
        if not encrypted:
            return rosbag.Bag(path)
    except OSError as error:
        raise BagError("cannot read the bag %s: %s" % (path, error.strerror)) from None
    except rosbag.ROSBagUnindexedException:
        raise BagError("the bag %s has no index, as after a recording that was cut off: `rosbag reindex %s` makes one"
                       % (path, path)) from None
    except (rosbag.ROSBagException, ValueError) as error:  # ValueError: its first line is no text
        raise BagError("%s is not a bag: %s" % (path, error)) from None
    raise BagError("the bag %s is encrypted, and what is painted of it would not be: `rosbag decrypt %s` first"
                   % (path, path))


def _painted_names(args, source):
    """``{topic: the painted topic's name}`` of all ``--topic``.

    Raises:
        OptionError: a topic is not in the bag or no image, or a painted topic's name is taken.
    """
    types = {topic: about.msg_type for topic, about in source.get_type_and_topic_info().topics.items()}
    shown = ", ".join("%s (%s)" % item for item in types.items() if item[1] in KINDS) or "none"
    names = {}
    for topic in args.topic:
        if topic not in types:
            raise OptionError("there is no topic %s in %s; its image topics: %s" % (topic, args.input, shown))
        if types[topic] not in KINDS:
            raise OptionError("the topic %s in %s is of type %s; its image topics: %s"
                              % (topic, args.input, types[topic], shown))
        names[topic] = topic if args.replace else args.prefix.rstrip("/") + "/" + topic.lstrip("/")
        if names[topic] in types and not args.replace:
            raise OptionError("the topic %s is in %s already; choose another --prefix than %s"
                              % (names[topic], args.input, args.prefix))
    return names


class Painter:
    """Paints the frames of one topic.

    Args:
        max_side: frames are scaled down to this longer side; 0 keeps their size.
    """

    def __init__(self, topic, stylizer, controls, mask, max_side):
        self._topic, self._stylizer, self._look, self._max_side = topic, stylizer, (controls, mask), max_side
        self._told = set()

    def paint(self, raw):
        """The painted frame of a message, both as rosbag has them: ``(type, bytes, md5sum, ..., class)``; None
        for a frame that cannot be painted, which is told once for each kind of reason."""
        try:
            message = KINDS[raw[0]]().deserialize(raw[1])
            if conversions.is_empty(message):
                raise ImageError("it holds no picture, as image_publisher's when its clip rewinds")
            rgb = images.limit(conversions.to_rgb(message), self._max_side)
            painted = self._stylizer.stylize(rgb, *self._look)
            if isinstance(message, CompressedImage):
                kind = "png" if message.data[:4] == b"\x89PNG" else "jpeg"
                message = conversions.to_compressed(painted, message.header, kind)
            else:
                message = conversions.to_message(painted, message.header)
        except Exception as error:  # one frame never ends the run
            kind = re.sub(r"\d+", "", str(error))
            if kind not in self._told:
                self._told.add(kind)
                common.print_message("a frame of %s cannot be painted and is copied: %s" % (self._topic, error))
            return None
        buffer = io.BytesIO()
        message.serialize(buffer)
        return message._type, buffer.getvalue(), message._md5sum, type(message)


def _write(args, source, names, painters, repaint):
    """Write the output, or what of it is still to be written.

    Args:
        names: the painted topics' names by topic.
        painters: the `Painter` of each topic.
        repaint: paint what is written already once more, for what follows.
    """
    partial = args.output + PARTIAL
    output = Output(partial, source.get_compression_info().compression)
    # Beside each original there is at most its painted frame.
    done = output.get_message_count() - (0 if args.replace else output.get_message_count(list(names.values())))
    if done:
        common.print_message("going on after the %d messages that are in %s%s" % (
            done, partial, "; smoothing needs their frames painted again" if repaint else ""))
    outcomes = collections.Counter()
    worker = concurrent.futures.ThreadPoolExecutor(1)  # TensorFlow hears of no signal before its picture is done
    try:
        with tqdm(total=source.get_message_count(list(names)), unit="frame",
                  desc=os.path.basename(args.output)) as bar:
            for number, (topic, raw, stamp, header) in enumerate(_messages(source, args.input), 1):
                painted = None
                if topic in painters and (number > done or repaint):
                    painted = worker.submit(painters[topic].paint, raw).result()
                if number > done:
                    outcomes["copied" if topic not in painters else "failed" if painted is None else "painted"] += 1
                    if painted is None or not args.replace:
                        output.add(topic, raw, stamp, header)
                    if painted is not None:
                        name = names[topic]
                        output.add(name, painted, stamp, dict(header, topic=name.encode()))
                    output.end_message()
                bar.update(topic in painters)
        output.close()
        _refuse_existing(args.output)
        os.rename(partial, args.output)
    except KeyboardInterrupt:
        common.print_message("stopped; the same command goes on with %s" % partial)
        sys.stderr.flush()
        os._exit(130)  # or Python would wait for the picture, and close a chunk in the middle of a message
    except OSError as error:
        raise BagError("cannot write %s: %s; once it can be, the same command goes on"
                       % (partial, error.strerror or error)) from None
    common.print_message("%s: %d frames painted, %d that could not be painted and %d other messages copied" % (
        args.output, outcomes["painted"], outcomes["failed"], outcomes["copied"]))


def _messages(source, path):
    """All messages in the order of their times: ``(topic, raw message, time, connection header)`` each."""
    try:
        yield from source.read_messages(raw=True, return_connection_header=True)
    except Exception as error:  # whatever a damaged chunk makes rosbag and its decompressors raise
        raise BagError("the bag %s is damaged: %s" % (path, error)) from None


def _refuse_existing(path):
    if os.path.exists(path):
        raise OptionError("%s exists already; choose another -o or remove it" % path)


def _digest(array):
    return hashlib.sha256(array.tobytes() + repr(array.shape).encode()).hexdigest()


class Record:
    """What a partial bag was begun with, in a file next to it: a context that removes the file once the bag is done.

    Args:
        partial: the bag's path.
        asked: what it is to be, for JSON.

    Attributes:
        chosen: ``{name: value}`` that the first run has chosen by itself, see `choose`.

    Raises:
        BagError: the partial bag was begun with something else, or another process is writing it.
    """

    def __init__(self, partial, asked):
        self._partial, self._path, self.chosen = partial, partial + ".json", {}
        self._asked = asked = json.loads(json.dumps(asked))  # as it will be read
        try:
            os.makedirs(os.path.dirname(os.path.abspath(partial)), exist_ok=True)
            self._file = open(self._path, "a+")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(partial):
                self._check(asked)
            else:
                self._write(asked)
        except BlockingIOError:
            raise BagError("%s is being written by another process" % partial) from None
        except OSError as error:
            raise BagError("cannot write %s: %s" % (self._path, error.strerror)) from None

    def choose(self, **values):
        """Remember these values for the runs that continue this one."""
        if values != self.chosen:
            self.chosen = values
            self._write(dict(self._asked, chosen=values))

    def _write(self, content):
        self._file.truncate(0)
        json.dump(content, self._file)
        self._file.flush()

    def _check(self, asked):
        self._file.seek(0)
        try:
            before = json.load(self._file)
            others = [name for name in asked if before[name] != asked[name]]
            self.chosen = before.get("chosen", {})
        except (ValueError, TypeError, KeyError):
            raise BagError("%s does not say what %s was begun with; remove both to start anew"
                           % (self._path, self._partial)) from None
        if others:
            raise BagError("%s was begun with another %s; give the same as then to go on, or remove it to start anew"
                           % (self._partial, ", ".join(others)))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None or not os.path.exists(self._partial):
            os.remove(self._path)
        self._file.close()


class Output(rosbag.Bag):
    """A bag that is written, from where it was left if it exists.

    Args:
        path: of the file.
        compression: of its chunks: ``none``, ``bz2`` or ``lz4``.
    """

    def __init__(self, path, compression):
        self._written = 0  # bytes in the open chunk, more or less
        known = os.path.exists(path) and _cut(path)
        # Chunks are closed by `end_message` alone.
        super().__init__(path, "a" if known else "w", compression, chunk_threshold=2**62, allow_unindexed=known)
        if known:
            for _ in self.reindex():
                pass
        # rosbag takes all publishers of a topic for the first; here each keeps its connection.
        self._by_header = {}
        for connection in self._connections.values():
            self._by_header.setdefault(_key(connection.header), {})[connection.topic] = connection

    def add(self, topic, raw, stamp, header):
        """Write a message.

        Args:
            raw: ``(type, bytes, md5sum, ..., class)``.
            stamp: when it was received, `genpy.Time`.
            header: its connection's, ``{name: bytes}``.
        """
        self._topic_connections = self._by_header.setdefault(_key(header), {})
        self.write(topic, raw, stamp, raw=True, connection_header=header)
        self._written += len(raw[1])

    def end_message(self):
        """All that comes of a message of the input has been written; what follows may be lost without it."""
        if self._written > CHUNK:
            self.flush()
            self._written = 0


def _key(header):
    return tuple(sorted(header.items()))


def _cut(path):
    """Cut the bag at ``path``, whose writer was killed, before its last chunk: that or its index may not be whole,
    and rosbag would take it for half whole.  Whether any chunk is left."""
    chunks = []  # where the last two begin
    with open(path, "r+b") as file:
        file.readline()  # the version
        while True:
            start = file.tell()
            header, length = file.read(_number(file)), _number(file)
            if b"\4\0\0\0op=\5" in header:
                chunks = chunks[-1:] + [start]
                if not length:
                    break  # the length is written last
            elif not header:
                break
            file.seek(length, os.SEEK_CUR)
        if len(chunks) > 1:
            file.truncate(chunks[-1])
    return len(chunks) > 1


def _number(file):
    """The next four bytes, 0 at the end of the file."""
    return int.from_bytes(file.read(4), "little")
