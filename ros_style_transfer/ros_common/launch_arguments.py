"""Finds misspelt arguments of launch files: roslaunch ignores those that a file does not declare."""

import difflib
import os
import xml.etree.ElementTree
from typing import List, Sequence

LAUNCH = ".launch"


def unknown_arguments(command: Sequence[str], files: Sequence[str]) -> List[str]:
    """One sentence for each argument on a command line of roslaunch that no launch file declares.

    Args:
        command: the command line.  It is only checked if it names the first of ``files`` and no other launch file.
        files: a launch file, and those that it passes its arguments on to.
    """
    named = [os.path.basename(word) for word in command if word.endswith(LAUNCH)]
    if named != [os.path.basename(files[0])]:
        return []
    known = [name for file in files for name in declared_arguments(file)]
    problems = []
    for word in command:
        name, assigned, value = word.partition(":=")
        if not assigned or name.startswith("_") or name in known:  # such as __log:=FILE, which is for roslaunch
            continue
        nearest = difflib.get_close_matches(name, known, 1)
        hint = "did you mean %s:=%s?" % (nearest[0], value) if nearest else "`roslaunch --ros-args FILE` lists all"
        problems.append("%s has no argument %s; %s" % (named[0], name, hint))
    return problems


def declared_arguments(file: str) -> List[str]:
    """The names of the arguments that a launch file declares."""
    return [tag.get("name", "") for tag in xml.etree.ElementTree.parse(file).getroot().findall("arg")]


def parent_command() -> List[str]:
    """The command line of the process that has started this one; empty if the system does not tell."""
    try:
        with open("/proc/%d/cmdline" % os.getppid(), "rb") as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0") if word]
    except OSError:
        return []
