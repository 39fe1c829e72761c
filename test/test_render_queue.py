"""Renders in processes of their own: order, bounds, cancelling, ends."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import pytest
from conftest import REPOSITORY, draw_scene

from ros_style_transfer.errors import OptionError, StyleTransferError
from ros_style_transfer.media.style_library import StyleLibrary
from ros_style_transfer.render.queue import FOLDER_PREFIX, Cancelled, RenderQueue, RenderRequest

STYLES = StyleLibrary().paths()

# What `render.queue` expects of a program that renders, without TensorFlow: it returns the content.
PROGRAM = """
import json, os, shutil, sys, threading, time
arguments = sys.argv[1:]
value = dict(argument.lstrip("-").split("=") for argument in arguments if "=" in argument)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
for iteration in range(int(value["iterations"])):
    print(json.dumps({"iteration": iteration + 1, "preview": False}), flush=True)
    time.sleep(0.01)
shutil.copy(arguments[0], arguments[arguments.index("-o") + 1])
"""
FAST = (sys.executable, "-c", PROGRAM)


def request(iterations=2, on_progress=lambda progress, preview: None, style="mosaic", **changes):
    return RenderRequest(
        draw_scene(96, 64), [STYLES[style]], options={"iterations": iterations, "scales": 1}, on_progress=on_progress
    )._replace(**changes)


def children():
    """Our own renders."""
    found = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "--", "--no-checkpoint"], stdout=subprocess.PIPE, text=True
    )
    return [int(line) for line in found.stdout.split()]


def is_running(process):
    """Whether a process of this number runs."""
    try:
        with open("/proc/%d/stat" % process) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def queue():
    made = RenderQueue(length=2, command=FAST)
    yield made
    made.shutdown()
    assert not children()


@pytest.fixture
def real():
    """A queue of real renders."""
    made = RenderQueue(length=2)
    yield made
    made.shutdown()
    assert not children()


def begun(queue, **changes):
    """A long render's future, once it renders."""
    started = threading.Event()
    future = queue.add(request(100000, lambda *_: started.set(), **changes))
    assert started.wait(60)
    return future


def test_it_renders_with_progress_and_previews(real):
    told = []
    result = real.add(request(4, lambda *said: told.append(said), preview_every=2, size=64)).result(60)
    assert result.picture.shape == (43, 64, 3)
    assert [progress["iteration"] for progress, _ in told] == [1, 2, 3, 4]
    assert [preview is not None for _, preview in told] == [False, True, False, True]
    assert (told[-1][1] == result.picture).all()
    assert result.progress["loss"] < told[0][0]["loss"]
    assert set(result.progress["losses"]) == {"content", "style", "tv"}


def test_requests_are_rendered_in_order_and_a_full_queue_answers_at_once(queue):
    done = []
    current = begun(queue)
    waiting = [queue.add(request()) for _ in range(2)]
    for n, future in enumerate(waiting):
        future.add_done_callback(lambda _, n=n: done.append(n))
    with pytest.raises(OptionError, match="2 renders are already waiting"):
        queue.add(request())
    assert not current.done() and not done, "it waited"
    assert queue.cancel()
    with pytest.raises(Cancelled):
        current.result(60)
    assert [future.result(60).picture.shape for future in waiting] == [(64, 96, 3)] * 2
    assert done == [0, 1]


def test_cancelling_ends_the_current_one_alone(queue):
    current = begun(queue)
    second, third = queue.add(request()), queue.add(request())
    assert queue.cancel(second)
    with pytest.raises(Cancelled, match="before its turn"):
        second.result(0)
    assert queue.cancel(current)
    with pytest.raises(Cancelled, match="was cancelled"):
        current.result(60)
    assert third.result(60)
    assert not queue.cancel()


def test_a_render_runs_at_its_share(queue):
    begun(queue)
    (child,) = children()
    assert os.getpriority(os.PRIO_PROCESS, child) == 15


@pytest.mark.parametrize(
    "changes,said",
    [
        ({"options": {"iterations": "many"}}, "iterations must be a whole number, not 'many'"),
        ({"options": {"wibble": "1"}}, "wibble"),
        ({"options": {"network": "vgg16", "max_memory": "x"}}, "max_memory must be a number"),
        ({"preset": "fast"}, "preset must be one of default, seed, not 'fast'"),
        ({"content": np.zeros((5, 5), np.uint8)}, "a picture must be uint8"),
    ],
)
def test_what_is_wrong_is_said_and_the_next_is_rendered(queue, changes, said):
    with pytest.raises(StyleTransferError) as error:
        queue.add(request(**changes)).result(60)
    assert said in str(error.value)
    assert queue.add(request(1)).result(60)


def test_what_the_program_finds_wrong_is_said_and_the_next_is_rendered(real):
    with pytest.raises(StyleTransferError, match="no such picture: /nowhere.png"):
        real.add(request(styles=["/nowhere.png"])).result(60)
    assert real.add(request(1)).result(60)


def test_folders_of_killed_processes_are_removed_at_the_next_start(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in (FOLDER_PREFIX + "abandoned", FOLDER_PREFIX + "in-use", "of-another-program"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content.png").write_bytes(b"0")
    in_use = os.open(str(tmp_path / (FOLDER_PREFIX + "in-use")), os.O_RDONLY)
    fcntl.flock(in_use, fcntl.LOCK_EX)
    RenderQueue().shutdown()
    os.close(in_use)
    assert sorted(os.listdir(str(tmp_path))) == ["of-another-program", FOLDER_PREFIX + "in-use"]


STUB = """
import json, shutil, sys
print("a library's greeting")
print(json.dumps({"iteration": 1, "preview": False}))
print(%s)
arguments = sys.argv[1:]
print(" ".join(arguments), file=sys.stderr)
shutil.copy(arguments[0], arguments[arguments.index("-o") + 1])
raise SystemExit(%d)
"""


@pytest.mark.parametrize(
    "line, code, outcome",
    [
        ("json.dumps({'error': 'it broke: no, 5:3'})", 1, "it broke: no, 5:3"),
        ("'no object'", 3, "the render process ended with code 3: .*--json --no-checkpoint"),
        ("'no object'", 0, None),
    ],
)
def test_a_process_tells_its_error_in_a_line_of_json(line, code, outcome):
    stubbed = RenderQueue(command=[sys.executable, "-c", STUB % (line, code)])
    try:
        progress = []
        future = stubbed.add(request(on_progress=lambda values, preview: progress.append(values)))
        if outcome is None:
            assert (future.result(60).picture == draw_scene(96, 64)).all()
        else:
            with pytest.raises(StyleTransferError, match=outcome):
                future.result(60)
        assert progress == [{"iteration": 1, "preview": False}]
    finally:
        stubbed.shutdown()


def test_a_killed_render_is_explained(queue):
    future = begun(queue)
    os.kill(children()[0], signal.SIGKILL)
    with pytest.raises(StyleTransferError, match="probably out of memory"):
        future.result(60)


def test_shutting_down_leaves_nothing(queue):
    current, waiting = begun(queue), queue.add(request())
    started = time.monotonic()
    queue.shutdown()
    assert time.monotonic() - started < 20, "a render takes a quarter of an hour"
    for future in (current, waiting):
        with pytest.raises(Cancelled):
            future.result(10)
    assert not [thread for thread in threading.enumerate() if thread.name == "renders"] and not children()
    with pytest.raises(OptionError, match="shutting down"):
        queue.add(request())


def test_no_render_outlives_a_killed_node(tmp_path):
    """Whoever holds the queue is killed in the middle: the render ends by itself."""
    code = """
import sys, time
sys.path[:0] = [%r, %r]
import test_render_queue as t
queue = t.RenderQueue()
t.begun(queue)
print(t.children()[0], flush=True)
time.sleep(60)
""" % (REPOSITORY, os.path.join(REPOSITORY, "test"))
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, universal_newlines=True)
    child = int(holder.stdout.readline())
    holder.kill()
    holder.communicate()
    deadline = time.monotonic() + 30
    while is_running(child):
        assert time.monotonic() < deadline, "the render goes on"
        time.sleep(0.1)
