"""Which results are there already: what may be skipped, what must not be overwritten.

The same rules for every command that writes many files: a result that exists is skipped if the manifest says that the
same options made it from the same inputs; any other one is refused, overwritten or kept, as the user asks.
"""

import argparse
import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence

from ..errors import ImageError, OptionError
from .common import option_of

FILE = ".ros_style_transfer.jsonl"  # in the folder of the results; hidden, so that no command takes it for content


class Result(NamedTuple):
    """A file to write.

    Attributes:
        output: its path.
        inputs: the paths of the files that it is made from.
    """

    output: str
    inputs: Sequence[str]


class Manifest:
    """The record of a folder's results, lines of JSON: ``{"options": ..., "planned": [outputs]}`` begins a run, whose
    results follow as ``{"output": ..., "inputs": ..., "written": ...}``.  Lines are only appended, so a kill costs the
    last one at most.

    Args:
        folder: of the results; it need not exist.
        options: ``{name: value}``, everything but the inputs that results depend on; anything that JSON can hold.

    Attributes:
        choice: what the run that made results with these options chose by itself; None if there was none.
    """

    def __init__(self, folder: str, options: Mapping[str, Any]) -> None:
        self._folder, self._path = folder, os.path.join(folder, FILE)
        self._options = json.loads(json.dumps(options))  # as it will be read
        self.choice: Any = None
        self._choice: Any = None  # of the last run in the file
        self._entries: Dict[str, Dict[str, Any]] = {}  # by output
        for line in self._lines():
            for output in line.get("planned", ()):
                self._entries[output] = dict(line, written=None)
            if "output" in line:
                self._entries[line["output"]] = line
            if line["options"] == self._options and line.get("choice") is not None:
                self.choice = line["choice"]

    def _lines(self) -> List[Dict[str, Any]]:
        """All lines, each with the options of its run."""
        lines: List[Dict[str, Any]] = []
        options: Dict[str, Any] = {}
        try:
            with open(self._path, encoding="utf-8", errors="surrogateescape") as file:
                texts = file.read().splitlines()
        except FileNotFoundError:
            return lines
        except OSError as error:
            raise OptionError("cannot read %s: %s" % (self._path, error.strerror)) from None
        for text in texts:
            try:
                line = json.loads(text)
                options = line.get("options", options)
                lines.append(dict(line, options=options))
            except (ValueError, AttributeError):
                continue  # the last line before a kill
        return lines

    def remaining(self, results: Sequence[Result], overwrite: bool = False, skip_existing: bool = False) -> List[bool]:
        """Whether each of the ``results`` must be made.

        Raises:
            OptionError: one exists that something else has made, and neither ``overwrite`` nor ``skip_existing``.
        """
        return [self._remains(result, overwrite, skip_existing) for result in results]

    def _remains(self, result: Result, overwrite: bool, skip_existing: bool) -> bool:
        if not os.path.exists(result.output):
            return True
        if skip_existing:
            return False
        entry = self._entries.get(self._name(result.output))
        if entry is None or entry["written"] not in (None, identity(result.output)[1:]):
            if overwrite:
                return True
            raise OptionError("%s exists already; --overwrite replaces it, --skip-existing keeps it" % result.output)
        different = [
            option_of(name)
            for name in sorted({*entry["options"], *self._options})
            if entry["options"].get(name) != self._options.get(name)
        ]
        if different and not overwrite:
            raise OptionError(
                "%s was made with another %s; use the same options, another -o, or --overwrite"
                % (result.output, ", ".join(different))
            )
        if different or entry["written"] is None:
            return True
        return entry["inputs"] != [identity(path) for path in result.inputs]

    def begin(self, results: Sequence[Result], choice: Any = None) -> None:
        """Begin a run, before any of the ``results`` is written: what a kill leaves of them is known to be ours.

        Args:
            choice: what the run chooses by itself, such as the precision; None: not yet.

        Raises:
            ImageError: the manifest cannot be written.
        """
        self._choice = choice
        self._append(
            dict(options=self._options, choice=choice, planned=[self._name(result.output) for result in results])
        )

    def add(self, result: Result, choice: Any = None) -> None:
        """Record that one of the results that the run began with has been written."""
        if choice != self._choice:
            self._choice = choice
            self._append(dict(options=self._options, choice=choice))
        self._append(
            dict(
                output=self._name(result.output),
                inputs=[identity(path) for path in result.inputs],
                written=identity(result.output)[1:],
            )
        )

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            os.makedirs(self._folder, exist_ok=True)
            with open(self._path, "ab") as file:
                # A line that a kill has cut off must not swallow this one.
                file.write(b"\n" if file.tell() and not self._ends_line() else b"")
                file.write((json.dumps(line) + "\n").encode())
        except OSError as error:
            raise ImageError("cannot write %s: %s" % (self._path, error.strerror)) from None

    def _ends_line(self) -> bool:
        with open(self._path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"

    def _name(self, output: str) -> str:
        return os.path.relpath(os.path.abspath(output), os.path.abspath(self._folder))


def identity(path: str) -> List[Any]:
    """A file as it is now, without reading it: ``[real path, bytes, time of its last change in ns]``."""
    try:
        status = os.stat(path)
    except OSError:
        return [os.path.realpath(path), None, None]
    return [os.path.realpath(path), status.st_size, status.st_mtime_ns]


def check_not_existing(args: argparse.Namespace, path: str) -> bool:
    """For a single file without a manifest: whether it must be made.

    Raises:
        OptionError: it exists, and the user has not said what to do then.
    """
    return Manifest(os.path.dirname(os.path.abspath(path)), {})._remains(
        Result(path, ()), args.overwrite, args.skip_existing
    )
