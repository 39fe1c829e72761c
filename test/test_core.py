"""The core stands without ROS and without Keras; the parts that threads share."""

import ast
import os
import threading
import time

import pytest

from ros_style_transfer.streaming.frame_slots import Frame, FrameSlots
from ros_style_transfer.streaming.stream_stats import FrameTiming, StreamStats, combine

ROS = {
    "rospy",
    "rclpy",
    "rcl_interfaces",
    "roslib",
    "rospkg",
    "cv_bridge",
    "sensor_msgs",
    "std_msgs",
    "diagnostic_msgs",
    "dynamic_reconfigure",
}


# Which parts of the package a part may import besides itself; the longest name that fits a module counts.
ROOT = ("errors", "environment", "resources", "temporary_folders", "controls", "media")
CORE = (*ROOT, "models", "transfer", "stylizer", "render")
LAYERS = {
    "": (),
    "__main__": ("environment", "cli.main"),
    "errors": (),
    "environment": (),
    "resources": (),
    "temporary_folders": (),
    "controls": ("errors", "models.registry"),
    "media": ("errors", "resources"),
    "models": ("errors", "resources", "controls", "media"),
    "models.registry": (),
    "transfer": ("errors", "resources", "controls", "media", "models"),
    "render": (
        "errors",
        "resources",
        "temporary_folders",
        "controls",
        "media",
        "models",
        "transfer.tiles",
        "transfer.masks",
        "transfer.colours",
    ),
    "stylizer": ("errors", "resources", "controls", "media", "models", "transfer"),
    "streaming": ("errors", "resources", "temporary_folders", "controls", "media", "models", "transfer", "stylizer"),
    "cluster": ("", "errors", "environment", "models.device"),
    "cli": (*CORE, "cluster"),
    "cli.benchmark": (*CORE, "benchmark"),
    "benchmark": (*CORE, "cluster"),
    "training": CORE,
    "ros_common": (
        *ROOT,
        "models.registry",
        "models.weights",
        "transfer.masks",
        "streaming",
        "render.queue",
        "render.options",
    ),
    "ros": (
        *ROOT,
        "ros_common",
        "models.registry",
        "models.weights",
        "transfer.masks",
        "stylizer",
        "streaming",
        "render.queue",
        "render.options",
    ),
    "ros2": (
        *ROOT,
        "ros_common",
        "streaming",
        "render.queue",
        "cli.common",
    ),
    "ros_common.stylize_bag": (
        *ROOT,
        "models.weights",
        "stylizer",
        "cli.batch",
        "cli.common",
        "cli.manifest",
        "cli.workers",
    ),
    "ros_common.benchmark": (*ROOT, "benchmark"),
    "ros.benchmark": (*ROOT, "ros_common", "cli.common"),
}
WITH_TENSORFLOW = {"models", "transfer", "render", "stylizer", "benchmark"}


def sources(repository, *without):
    """``{path in the package: absolute path}`` of its Python files, but for the folders ``without``."""
    package = os.path.join(repository, "ros_style_transfer")
    found = {}
    for folder, folders, files in os.walk(package):
        folders[:] = [
            f
            for f in folders
            if f != "__pycache__" and os.path.relpath(os.path.join(folder, f), package) not in without
        ]
        for file in files:
            if file.endswith(".py"):
                path = os.path.join(folder, file)
                found[os.path.relpath(path, package)] = path
    return found


def imported(path):
    """The top-level names of all modules that a file imports, wherever in it."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0] if not node.level else ".")
            if node.level or (node.module or "").startswith("ros_style_transfer"):
                names |= {part for part in (node.module or "").split(".") if part in ("ros", "ros2", "msg", "srv")}
                names |= {alias.name for alias in node.names if alias.name in ("ros", "ros2", "msg", "srv")}
    return names


def module_of(path):
    """A path in the package as a module's name without the package's: ``models/vgg.py`` is ``models.vgg``."""
    name = path[: -len(".py")].replace(os.sep, ".")
    return name[: -len("__init__")].rstrip(".") if name.endswith("__init__") else name


def imports_of(path, name, modules):
    """The package's modules, out of ``modules``, that the module ``name`` in the file ``path`` imports anywhere."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    package = name.split(".") if path.endswith("__init__.py") else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ["ros_style_transfer", *package][: 1 + len(package) - (node.level - 1)] if node.level else []
            base = ".".join(start + ([node.module] if node.module else []))
            found = [base + "." + alias.name for alias in node.names]
        else:
            continue
        for full in found:
            parts = full.split(".")
            if parts[0] == "ros_style_transfer" and parts[1:2] not in (["action"], ["msg"], ["srv"], ["cfg"]):
                inside = [".".join(parts[1:end]) for end in range(len(parts), 0, -1)]
                yield next(module for module in inside if module in modules)


def within(name, parts):
    """The longest of ``parts`` that ``name`` is or lies in; None: in none of them."""
    return max(
        (part for part in parts if not part or name == part or name.startswith(part + ".")), key=len, default=None
    )


def test_each_part_imports_only_the_parts_below_it(repository):
    files = {module_of(path): where for path, where in sources(repository).items()}
    files.update(
        {
            "nodes." + name: os.path.join(repository, "ros_style_transfer", "nodes", name)
            for name in os.listdir(os.path.join(repository, "ros_style_transfer", "nodes"))
        }
    )
    edges = {(name, module) for name, path in files.items() for module in imports_of(path, name, files)}
    assert {
        ("stylizer", "transfer.regions"),
        ("cli.job_runner", "stylizer"),
        ("nodes.stylize_bag", "ros.bags"),
        ("ros.panel.rqt_plugin", "ros.panel.window"),
    } <= edges, "imports are overlooked"
    wrong = []
    for name, module in sorted(edges):
        allowed = ("environment", "ros", "ros_common") if name.startswith("nodes.") else LAYERS[within(name, LAYERS)]
        own = name.split(".")[0]
        if module and module.split(".")[0] != own and within(module, allowed) is None:  # the root imports nothing
            wrong.append("%s imports %s" % (name, module))
    assert not wrong


def test_tensorflow_is_imported_where_networks_are(repository):
    for path, where in sources(repository).items():
        if "tensorflow" in imported(where):
            assert module_of(path).split(".")[0] in WITH_TENSORFLOW, path


def test_importing_the_package_sets_no_environment_variables(repository):
    """Programs do, when they run; those of the training, which nothing imports, as they begin."""
    for path, where in sources(repository, "training").items():
        with open(where, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.Lambda))]
        inside = {id(node) for function in functions for node in ast.walk(function)}
        outside = [node for node in ast.walk(tree) if id(node) not in inside]
        assert not [
            node for node in outside if isinstance(node, ast.Attribute) and node.attr in ("environ", "putenv")
        ], path


def test_no_module_outside_ros_imports_ros(repository):
    files = sources(repository, "ros", "ros2", "nodes")
    assert {"stylizer.py", os.path.join("transfer", "wct.py"), os.path.join("training", "cascade.py")} <= set(files)
    for name, path in files.items():
        assert not imported(path) & (ROS | {"ros", "ros2", "msg", "srv"}), name


def test_the_ros_layer_is_what_imports_ros(repository):
    """What the test above looks for is there to be found."""
    everywhere = set.union(*map(imported, sources(repository).values()))
    assert "rospy" in everywhere


def test_runtime_imports_no_keras(repository):
    for name, path in sources(repository, "training").items():
        assert "keras" not in imported(path), name
        with open(path, encoding="utf-8") as file:
            assert "tf.keras" not in file.read(), name


def test_core_imports_where_there_is_no_ros(repository, run):
    modules = [
        "ros_style_transfer." + name[:-3].replace(os.sep, ".")
        for name in sources(repository, "ros", "ros2", "nodes", "training")
        if not name.endswith("__.py")
    ]
    assert len(modules) >= 10
    process = run(
        "-c",
        """if True:
        import importlib, sys

        class NoRos:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in %r:
                    raise ImportError("there is no ROS here: " + name)

        sys.meta_path.insert(0, NoRos())
        for module in sys.argv[1:]:
            importlib.import_module(module)
        assert not set(sys.modules) & %r
        print("tensorflow" in sys.modules)
        """
        % (ROS, ROS),
        *modules,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == "True"


def test_looking_at_options_styles_and_pictures_needs_no_tensorflow(run):
    process = run(
        "-c",
        "import sys\n"
        "from ros_style_transfer import controls, resources\n"
        "from ros_style_transfer.cli import main\n"
        "from ros_style_transfer.media import decoding, images, style_library, video\n"
        "from ros_style_transfer.models import canvas, network, registry, shapes, weights\n"
        "from ros_style_transfer.render import options, queue\n"
        "from ros_style_transfer.streaming import frame_slots, session, stream, stream_stats, worker\n"
        "from ros_style_transfer.transfer import colours, masks\n"
        "print('tensorflow' in sys.modules)",
    )
    assert process.stdout.strip() == "False", process.stderr


def test_slot_gives_the_newest_item_once():
    slots = FrameSlots()
    assert slots.put("camera", "a") is False
    assert slots.put("camera", "b") is True
    assert slots.take(0) == ("camera", "b")
    assert slots.take(0) is None
    assert slots.put("camera", Frame("c", 1.0)) is False
    assert slots.take(10) == ("camera", ("c", 1.0, None))


def test_a_fast_source_does_not_keep_slow_ones_waiting():
    slots, taken = FrameSlots(), []
    for turn in range(6):
        slots.put("fast", turn)
        if turn in (0, 3):
            slots.put("slow", turn)
            slots.put("other", turn)
        taken.append(slots.take(0))
    assert [source for source, _ in taken] == ["fast", "slow", "other", "fast", "slow", "other"]
    assert taken[3:] == [("fast", 3), ("slow", 3), ("other", 3)]


def test_what_a_source_has_put_can_be_dropped():
    slots = FrameSlots()
    slots.put("front", 1)
    slots.put("rear", 2)
    slots.drop("front")
    slots.drop("never seen")
    assert slots.take(0) == ("rear", 2)
    assert slots.take(0) is None


def test_slot_waits_no_longer_than_its_timeout():
    slots, start = FrameSlots(), time.monotonic()
    assert slots.take(0.05) is None
    assert 0.04 < time.monotonic() - start < 2


@pytest.mark.parametrize(
    "action, expected",
    [(lambda slots: slots.put("s", "item"), ("s", "item")), (FrameSlots.wake, None)],
    ids=["put", "wake"],
)
def test_slot_ends_a_wait_at_once(action, expected):
    slots, taken = FrameSlots(), []
    thread = threading.Thread(target=lambda: taken.append(slots.take(30)), daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while thread.is_alive() and not taken and time.monotonic() < deadline:
        time.sleep(0.01)  # the thread may not wait yet: wake it until it does
        if expected is None or not taken:
            action(slots)
        thread.join(0.05)
    assert taken == [expected]


def test_slots_between_threads_drop_but_never_reorder():
    slots, taken = FrameSlots(), {"even": [], "odd": []}

    def work():
        while not all(numbers and numbers[-1] >= 1999 for numbers in taken.values()):
            item = slots.take(10)
            if item is None:
                return
            taken[item[0]].append(item[1])

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    replaced = sum(slots.put(("even", "odd")[number % 2], number) for number in range(1, 2001))
    thread.join(20)
    for numbers in taken.values():
        assert numbers == sorted(set(numbers))
    assert (taken["even"][-1], taken["odd"][-1]) == (2000, 1999)
    assert sum(map(len, taken.values())) + replaced == 2000


class Clock:
    """A clock that the test sets."""

    now = 100.0

    def __call__(self):
        return self.now


def test_stats_give_rates_over_its_window():
    clock = Clock()
    stats = StreamStats(window=2.0, clock=clock)
    for n in range(1, 51):  # five seconds at 10 received and 5 published a second
        clock.now = 100 + n / 10
        stats.count_received()
        if n % 2:
            stats.count_published(0.1 if n < 40 else 0.3)
    counts = stats.read()
    assert counts.input_rate == pytest.approx(10, abs=0.5)
    assert counts.output_rate == pytest.approx(5, abs=0.5)
    assert 0.1 < counts.latency < 0.3
    clock.now += 10
    assert stats.read()[:3] == (0, 0, 0)


def test_young_stats_do_not_count_time_before_its_start():
    clock = Clock()
    stats = StreamStats(window=10.0, clock=clock)
    for n in range(1, 6):
        clock.now = 100 + n / 5
        stats.count_received()
        stats.count_published(0.25)
    counts = stats.read()
    assert (counts.input_rate, counts.output_rate, counts.latency) == pytest.approx((5, 5, 0.25))


def test_new_stats_read_zero():
    assert StreamStats(clock=Clock()).read() == (0, 0, 0, (0, 0, 0, 0), 0, 0, 0)


def test_stats_count_losses_since_the_start():
    clock = Clock()
    stats = StreamStats(window=1.0, clock=clock)
    for _ in range(3):
        stats.count_dropped()
    stats.count_failed()
    clock.now += 100
    counts = stats.read()
    assert (counts.dropped, counts.failed) == (3, 1)


def test_stats_tell_where_a_frames_time_went():
    stats = StreamStats(clock=Clock())
    stats.count_published(0.5, FrameTiming(0.1, 0.2, 0.05, 0.0))
    stats.count_published(0.7, FrameTiming(0.1, 0.4, 0.15, 0.0))
    assert stats.read().timing == pytest.approx((0.1, 0.3, 0.1, 0.0))


def test_combined_streams_weigh_as_much_as_they_publish():
    clock = Clock()
    all_stats = [StreamStats(window=1.0, clock=clock) for _ in range(3)]
    clock.now += 1
    for stats, times, latency in ((all_stats[0], 3, 0.1), (all_stats[1], 1, 0.5)):
        for _ in range(times):
            stats.count_received()
            stats.count_published(latency, FrameTiming(latency, 0, 0, 0))
        stats.count_dropped()
    counts = combine(stats.read() for stats in all_stats)
    assert (counts.input_rate, counts.output_rate, counts.latency) == pytest.approx((4, 4, 0.2))
    assert counts.timing == pytest.approx((0.2, 0, 0, 0))
    assert (counts.dropped, counts.failed) == (2, 0)
    assert combine([StreamStats(clock=clock).read()]).latency == 0
