"""Bags of ROS 2, mcap and sqlite3, by rosbags, for the program `stylize_bag`.  Needs neither ROS.

An unfinished output is a folder of parts, each a bag of its own and complete as soon as it has its name.  Finished, the
parts are the files of one bag, as `ros2 bag record --max-bag-size` splits them.
"""

import os
import shutil
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np

from ..errors import BagError
from . import conversions
from .stylize_bag import Message, Output, Source

EXTENSIONS = (".mcap", ".db3")
PART_SIZE = 256 * 2**20  # bytes after which a part is complete
_VERSION = 9  # of the metadata


def is_ros2_bag(path: str) -> bool:
    """Whether a path is that of a bag of ROS 2, if it is one at all."""
    return os.path.isdir(path) or path.endswith(EXTENSIONS)


def open_ros2_bag(path: str) -> "Ros2Source":
    """The bag at ``path``, a folder or one of `EXTENSIONS`, for reading.

    Raises:
        BagError: it does not exist or cannot be read, or rosbags is not installed.
    """
    if not os.path.exists(path):
        raise BagError("cannot read the bag %s: No such file or directory" % path)
    if not is_ros2_bag(path):
        raise BagError("%s is no bag of ROS 2; bags of ROS 1 need rosbag, which is not installed" % path)
    try:
        import rosbags.highlevel
    except ImportError:
        raise BagError("reading %s, a bag of ROS 2, needs rosbags: pip install rosbags" % path) from None
    from rosbags.typesys import Stores, get_typestore

    try:
        reader = rosbags.highlevel.AnyReader([Path(path)], default_typestore=get_typestore(Stores.ROS2_JAZZY))
        reader.open()
    except OSError as error:
        raise BagError("cannot read the bag %s: %s" % (path, error.strerror or error)) from None
    except Exception as error:  # rosbags raises many kinds for what is no bag, or a damaged one
        raise BagError("%s is not a bag of ROS 2 that can be read: %s" % (path, error)) from None
    return Ros2Source(path, reader)


class Ros2Source(Source):
    """A bag of ROS 2; see the base class.

    Args:
        path: of the bag.
        reader: rosbags' open `AnyReader`.
    """

    def __init__(self, path: str, reader: Any) -> None:
        self._path = path
        self._reader = reader
        self.types = {connection.topic: _short(connection.msgtype) for connection in reader.connections}
        folder = Path(path)
        self.files = sorted(map(str, folder.iterdir())) if folder.is_dir() else [path]
        self.storage = "mcap" if any(file.endswith((".mcap", ".mcap.zstd")) for file in self.files) else "sqlite3"

    def count(self, topics: Optional[Sequence[str]] = None) -> int:
        return sum(c.msgcount for c in self._reader.connections if topics is None or c.topic in topics)

    def rate(self, topic: str) -> Optional[float]:
        times = self.times([topic])
        return 1e9 / float(np.median(np.diff(times))) if len(set(times)) > 1 else None

    def messages(
        self, topics: Optional[Sequence[str]] = None, start: Optional[int] = None, stop: Optional[int] = None
    ) -> Iterator[Message]:
        wanted = [c for c in self._reader.connections if topics is None or c.topic in topics]
        try:
            for connection, stamp, raw in self._reader.messages(wanted, start, stop):
                yield Message(connection.topic, bytes(raw), stamp, connection)
        except Exception as error:  # anything that a damaged file makes rosbags and its decompressors raise
            raise BagError("the bag %s is damaged: %s" % (self._path, error)) from None

    def times(self, topics: Sequence[str]) -> List[int]:
        return [message.stamp for message in self.messages(topics)]

    def read_image(self, message: Message) -> Any:
        return self._reader.deserialize(message.raw, message.connection.msgtype)

    def raw_image(self, rgb: np.ndarray, original: Any) -> bytes:
        types, name = self._reader.typestore.types, original.__msgtype__
        if conversions.is_compressed(original):
            file_format, data = conversions.compress(rgb, conversions.format_of(original))
            message = types[name](header=original.header, format=file_format, data=np.frombuffer(data, np.uint8))
        else:
            height, width = rgb.shape[:2]
            message = types[name](
                header=original.header,
                height=height,
                width=width,
                encoding="rgb8",
                is_bigendian=0,
                step=3 * width,
                data=np.ascontiguousarray(rgb).ravel(),
            )
        return bytes(self._reader.typestore.serialize_cdr(message, name))

    def output(self, partial: str) -> "Ros2Output":
        return Ros2Output(partial, self.storage, self._reader.typestore)

    def __exit__(self, *_: Any) -> None:
        self._reader.close()


class Ros2Output(Output):
    """A bag of ROS 2 to write; see the base class.

    Args:
        partial: path of the folder of parts.
        storage: ``mcap`` or ``sqlite3``.
        typestore: of the input.
    """

    def __init__(self, partial: str, storage: str, typestore: Any) -> None:
        self._folder = Path(partial)
        self._storage = storage
        self._typestore = typestore
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.glob("*.open"):  # the writer was killed
            shutil.rmtree(left)
        self._parts: List[Path] = sorted(self._folder.glob("part_*"))
        self._metadata = [_read_metadata(part) for part in self._parts]
        self._writer: Any = None
        self._connections: Dict[Any, Any] = {}
        self._size = 0

    def count(self, topics: Optional[Sequence[str]] = None) -> int:
        return sum(
            topic["message_count"]
            for metadata in self._metadata
            for topic in metadata["topics_with_message_count"]
            if topics is None or topic["topic_metadata"]["name"] in topics
        )

    def add(self, message: Message) -> None:
        if self._writer is None:
            self._open_part()
        key = message.topic, message.connection.id, id(message.connection.owner)
        if key not in self._connections:
            self._connections[key] = self._add_connection(message.topic, message.connection)
        self._writer.write(self._connections[key], message.stamp, message.raw)
        self._size += len(message.raw)

    def _open_part(self) -> None:
        from rosbags.rosbag2 import StoragePlugin, Writer

        path = self._folder / ("part_%05d.open" % len(self._parts))
        self._writer = Writer(path, version=_VERSION, storage_plugin=StoragePlugin[self._storage.upper()])
        self._writer.open()
        self._connections, self._size = {}, 0

    def _add_connection(self, topic: str, original: Any) -> Any:
        given: Dict[str, Any] = dict(
            serialization_format=original.ext.serialization_format,
            offered_qos_profiles=original.ext.offered_qos_profiles,
        )
        if original.msgdef.data and original.digest:
            given.update(msgdef=original.msgdef.data, rihs01=original.digest)
        else:
            given.update(typestore=self._typestore)
        existing = [
            connection
            for connection in self._writer.connections
            if (connection.topic, connection.msgtype, connection.ext) == (topic, original.msgtype, original.ext)
        ]
        return existing[0] if existing else self._writer.add_connection(topic, original.msgtype, **given)

    def end_message(self) -> None:
        if self._size > PART_SIZE:
            self._close_part()

    def _close_part(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        path = self._writer.path
        part = path.with_suffix("")
        os.rename(path, part)
        self._parts.append(part)
        self._metadata.append(_read_metadata(part))
        self._writer = None

    def finish(self, path: str) -> None:
        if not self._parts and self._writer is None:
            self._open_part()
        self._close_part()
        whole, name = self._folder / "whole.open", os.path.basename(os.path.abspath(path))
        whole.mkdir()
        files = []
        for number, (part, metadata) in enumerate(zip(self._parts, self._metadata)):
            (file,) = metadata["relative_file_paths"]
            files.append("%s_%d%s" % (name, number, os.path.splitext(file)[1]))
            _link(part / file, whole / files[-1])
        _write_metadata(whole, _merged(self._metadata, files))
        os.rename(whole, path)
        shutil.rmtree(self._folder)


def _short(name: str) -> str:
    """``sensor_msgs/msg/Image`` as ``sensor_msgs/Image``."""
    return name.replace("/msg/", "/")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _read_metadata(folder: Path) -> Dict[str, Any]:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load((folder / "metadata.yaml").read_text("utf8"))["rosbag2_bagfile_information"]


def _write_metadata(folder: Path, metadata: Dict[str, Any]) -> None:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    with open(folder / "metadata.yaml", "w", encoding="utf8") as file:
        yaml.dump({"rosbag2_bagfile_information": metadata}, file)


def _merged(parts: List[Dict[str, Any]], files: List[str]) -> Dict[str, Any]:
    """The metadata of a bag whose ``files`` are those of ``parts``."""
    filled = [part for part in parts if part["message_count"]] or parts
    starts = [part["starting_time"]["nanoseconds_since_epoch"] for part in filled]
    ends = [start + part["duration"]["nanoseconds"] for start, part in zip(starts, filled)]
    topics: List[Dict[str, Any]] = []
    for part in parts:
        for topic in part["topics_with_message_count"]:
            known = [other for other in topics if other["topic_metadata"] == topic["topic_metadata"]]
            if known:
                known[0]["message_count"] += topic["message_count"]
            else:
                topics.append(dict(topic))
    return dict(
        parts[0],
        relative_file_paths=files,
        starting_time={"nanoseconds_since_epoch": min(starts)},
        duration={"nanoseconds": max(ends) - min(starts)},
        message_count=sum(part["message_count"] for part in parts),
        topics_with_message_count=topics,
        files=[dict(part["files"][0], path=file) for part, file in zip(parts, files)],
    )
