"""What the tests share: the pictures they use, and the repository's surroundings."""

import importlib.util
import os
import signal
import subprocess
import sys

# A script's background jobs ignore Ctrl-C, and so would every process that a test starts in order to interrupt it.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
if "PYTEST_XDIST_WORKER" in os.environ:  # a core for each worker and for each process that it starts
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

# A catkin workspace reaches the repository through a link; what stands beside it is beside the real folder.
REPOSITORY = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
SHARED = os.path.join(os.path.dirname(REPOSITORY), "shared")
sys.path.insert(0, REPOSITORY)

import numpy as np
import numpy.testing  # it starts a process when it is first used, see `refuse_processes`
import pytest

from ros_style_transfer.media import images
from ros_style_transfer.media.style_library import StyleLibrary

# Files whose tests take long or start processes; tests with one of these fixtures start processes, too.
SLOW = {
    "test_benchmark",
    "test_bootstrap",
    "test_export",
    "test_objective",
    "test_install",
    "test_quantized",
    "test_packaging",
    "test_render",
    "test_render_queue",
    "test_stylizer",
    "test_training",
}
STARTING = {"run"}
FAST = "not slow"
# The tests of ROS 2 run in its own environment, see bootstrap.sh.
collect_ignore = [] if importlib.util.find_spec("rclpy") else ["ros2"]


def pytest_collection_modifyitems(items):
    """Mark slow tests, which ``-m "not slow"`` leaves out."""
    os.environ.pop("COV_CORE_SOURCE", None)  # or coverage would be measured, and warn, in the processes of tests
    for item in items:
        if item.module.__name__ in SLOW or STARTING & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)


def pytest_configure(config):
    """With ``-m "not slow"``, no test may start a process."""
    if config.option.markexpr == FAST:
        sys.addaudithook(refuse_processes)


def refuse_processes(event, _):
    """An audit hook."""
    test = os.environ.get("PYTEST_CURRENT_TEST")
    if test and event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        raise AssertionError("%s starts a process: mark it with pytest.mark.slow" % test)


@pytest.fixture(scope="session")
def repository():
    """The repository's root folder."""
    return REPOSITORY


@pytest.fixture(scope="session")
def teacher():
    """The path of the official VGG16 weights."""
    path = os.path.join(SHARED, "teacher", "vgg16_imagenet_fp16.npz")
    if not os.path.isfile(path):
        pytest.skip("the teacher's weights are not here: no folder `shared` beside the repository")
    return path


@pytest.fixture(scope="session")
def judge(teacher):
    """The judge's module: an implementation of VGG16 that shares no line with ours."""
    path = os.path.join(SHARED, "tools", "judge.py")
    if not os.path.isfile(path):
        pytest.skip("the judge is not here: no tools/judge.py in the folder `shared` beside the repository")
    spec = importlib.util.spec_from_file_location("judge", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def styles():
    """The shipped styles as arrays, by name."""
    library = StyleLibrary()
    return {name: library.read(name) for name in library.paths()}


def draw_scene(width, height, seed=0):
    """A picture with what photographs have: a smooth ground, objects with edges, and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    scene = np.stack([90 + 100 * x / width, 120 + 50 * y / height, 170 - 90 * y / height], -1)
    for _ in range(12):
        middle_y, middle_x = rng.integers(0, height), rng.integers(0, width)
        radius = rng.integers(1, 2 + min(width, height) // 4)
        scene[(y - middle_y) ** 2 + (x - middle_x) ** 2 < radius**2] = rng.integers(30, 220, 3)
    return np.clip(scene + rng.normal(0, 4, scene.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def scene():
    """A drawn scene, 160x128."""
    return draw_scene(160, 128)


@pytest.fixture
def run(tmp_path):
    """``run(arguments...)``: Python with the repository importable, from a folder that is not it."""

    def run(*arguments, **options):
        environment = dict(os.environ, PYTHONPATH=REPOSITORY, TF_CPP_MIN_LOG_LEVEL="3")
        folder = tmp_path / "elsewhere"
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=str(folder),
            env=environment,
            timeout=300,
            capture_output=True,
            text=True,
            **options,
        )

    return run


@pytest.fixture(scope="session")
def scene_file(scene, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("pictures") / "scene.png")
    images.write(path, scene)
    return path
