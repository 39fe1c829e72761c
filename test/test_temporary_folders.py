"""Folders that a killed process has left behind are removed; those of a living one are not."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from ros_style_transfer import temporary_folders

CHILD = """
import sys
from ros_style_transfer import temporary_folders
folder = temporary_folders.make("child")
open(folder + "/picture.png", "w").close()
print(folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(temporary_folders, "_MIN_AGE", -1.0)
    return tmp_path


def test_a_folder_is_removed_with_its_content(root):
    with temporary_folders.temporary_folder("render") as folder:
        open(os.path.join(folder, "content.png"), "w").close()
        assert os.path.dirname(folder) == str(root)
        temporary_folders.sweep()
        assert os.path.isfile(os.path.join(folder, "content.png")), "its process lives"
    assert not os.path.exists(folder)
    temporary_folders.remove(folder)  # again


def test_other_folders_are_left_alone(root, monkeypatch):
    (root / "ros_style_transfer_notes.txt").write_text("a file")
    (root / "another").mkdir()
    young = root / "ros_style_transfer_young"
    young.mkdir()
    monkeypatch.setattr(temporary_folders, "_MIN_AGE", 60.0)
    temporary_folders.sweep()
    assert len(list(root.iterdir())) == 3


@pytest.mark.slow
def test_the_folder_of_a_killed_process_is_removed_by_the_next(root):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env=dict(os.environ, PYTHONPATH=REPOSITORY, TMPDIR=str(root)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = child.stdout.readline().strip()
    temporary_folders.sweep()
    assert os.path.isfile(os.path.join(folder, "picture.png"))
    child.send_signal(signal.SIGKILL)
    child.communicate()
    temporary_folders.make("next")
    assert not os.path.exists(folder)
