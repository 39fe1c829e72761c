#!/usr/bin/env python3
"""The node's start and end: parameters that are wrong, damaged weights, no camera, a quick shutdown."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree

import rosgraph
import rospkg
import rospy
import rostest
from sensor_msgs.msg import Image

from ros_style_transfer.controls import ALIASES, CONTROLS, SETTINGS, Controls, controls_from
from ros_style_transfer.media.style_library import StyleLibrary
from ros_style_transfer.models.registry import MODELS
from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.ros_common import params
from ros_style_transfer.ros_common.params import DEFAULTS, Parameters
from ros_style_transfer.srv import SetStyle

LEVELS = ",".join(map(str, MODELS["live"].levels))
DOC = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "doc")
MASKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "masks")


def start(*arguments, command=("rosrun", "ros_style_transfer", "style_transfer_node"), **options):
    """A node /probe with these parameters alone: the master keeps those of the one before."""
    if rospy.has_param("/probe"):
        rospy.delete_param("/probe")
    return subprocess.Popen(
        [*command, "__name:=probe", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        **options,
    )


def end(process):
    """Interrupt a node; what it wrote."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=20)[0]


def start_impatient(seconds, *arguments):
    """A node whose requests wait so long where the real one's wait a minute."""
    code = (
        "from ros_style_transfer.ros import node; from ros_style_transfer.streaming import session; "
        "session.REQUEST_TIMEOUT = %g; node.main()" % seconds
    )
    return start(*arguments, command=(sys.executable, "-c", code))


def start_and_wait(*arguments):
    """A node that has read its parameters."""
    process = start(*arguments)
    rospy.wait_for_message("/probe/status", StyleStatus, 20)
    return process


def first_status(*arguments):
    """What a node says of itself before it has loaded anything."""
    process = start(*arguments)
    try:
        return rospy.wait_for_message("/probe/status", StyleStatus, 20)
    finally:
        end(process)


class ParametersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rospy.init_node("parameters_test")

    def test_the_launch_file_offers_every_parameter(self):
        share = rospkg.RosPack().get_path("ros_style_transfer")
        root = xml.etree.ElementTree.parse(os.path.join(share, "launch", "stylize.launch")).getroot()
        wanted = {*Parameters._fields, *CONTROLS} - {"controls"}
        self.assertEqual({param.get("name") for param in root.iter("param")} - {*ALIASES}, wanted)
        arguments = {arg.get("name"): arg for arg in root.iter("arg")}
        for name, control in {**CONTROLS, **SETTINGS}.items():
            self.assertEqual(arguments[name].get("doc"), control.help)
        defaults = {name: arguments[name].get("default") for name in CONTROLS}
        self.assertEqual(controls_from(defaults), Controls())
        for name, setting in SETTINGS.items():
            self.assertEqual(setting.type(arguments[name].get("default")), setting.default)

    def test_the_pages_name_every_parameter_with_its_default(self):
        told = {}
        for page in ("node.md", "controls.md"):
            with open(os.path.join(DOC, page)) as file:
                told.update(re.findall(r"^\| `~(\w+)` \| (?:`(.*?)`|[^|]*) \|", file.read(), re.M))
        defaults = dict(DEFAULTS._asdict(), style=",".join(DEFAULTS.style))
        defaults.update(defaults.pop("controls")._asdict())
        for name, value in defaults.items():
            self.assertEqual(told[name], str(value).lower() if value or value == 0 else "", name)

    def assert_refused(self, arguments, *words):
        """The node ends with code 1 and says each of ``words``, once, in one line."""
        process = start(*arguments)
        output = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 1, output)
        self.assertNotIn("Traceback", output)
        fatal = [line for line in output.splitlines() if "FATAL" in line]
        self.assertEqual(len(fatal), 1, output)
        for part in words:
            self.assertEqual(fatal[0].count(part), 1, "%r in %s" % (part, fatal[0]))

    def test_every_wrong_parameter_is_named_with_what_is_allowed(self):
        self.assert_refused(
            (
                "_model:=picasso",
                "_strength:=2",
                "_max_side:=7",
                "_precision:=int4",
                "_style:=nope",
                "_mask:=nowhere",
                "_weights_dir:=/no/such",
            ),
            "~model: model must be one of live, lite, cascade, not 'picasso'",
            "~strength: strength must be a number from 0 to 1, not 2",
            "~max_side: must be 0",
            "~precision: precision must be one of",
            "~style: unknown style 'nope'; known: chalk, ",
            "~mask: unknown mask 'nowhere'",
            "~weights_dir: cannot read /no/such/manifest.json",
        )

    def test_every_wrong_control_is_named_with_what_is_allowed(self):
        self.assert_refused(
            (
                "_levels:=5,9",
                "_level_strength:=9:1",
                "_passes:=2.5",
                "_method:=foo",
                "_swap:=-1",
                "_swap_level:=3",
                "_swap_patch:=2",
                "_swap_stride:=0",
                "_keep_colours:=maybe",
                "_style_scale:=9",
                "_style_crop:=0",
                "_feather:=wide",
                "_smoothing:=true",
                "_style_weights:=1,2,3",
            ),
            "~levels: levels must be some of %s (model live), each once, not (5, 9)" % LEVELS,
            "~level_strength: level_strength names level 9; model live has %s" % LEVELS,
            "~passes: passes must be a whole number from 1 to 16, not 2.5",
            "~method: method must be one of wct, ot, adain, whiten, not 'foo'",
            "~swap: swap must be a number from 0 to 1, not -1",
            "~swap_level: swap_level must be one of ",
            "~swap_patch: swap_patch must be odd",
            "~swap_stride: swap_stride must be a whole number from 1 to 64, not 0",
            "~keep_colours: keep_colours must be one of no, luminance, coral, not 'maybe'",
            "~style_scale: style_scale must be a number from 0.05 to 4, not 9",
            "~style_crop: style_crop must be a number from 0.05 to 1, not 0",
            "~feather: feather must be a number, not 'wide'",
            "~smoothing: smoothing must be a number from 0 to 1, not True",
            "~style_weights: 3 weights for 1 styles; give one each",
        )

    def test_parameters_that_do_not_go_together_are_named(self):
        for arguments, words in (
            (("_swap:=0.5", "_method:=adain"), "swap compares whitened patches, so it needs the method wct, not adain"),
            (("_style_dirs:=" + MASKS, "_mask:=thirds"), "the mask holds the label 2, but there are 1 styles"),
            (("_style_dirs:=" + MASKS, "_mask:=left", "_method:=whiten"), "a mask has no effect with method whiten"),
        ):
            self.assert_refused(arguments, words)

    def test_numbers_that_are_none_are_named(self):
        for value in (".inf", ".nan"):
            self.assert_refused(
                ("_max_side:=" + value, "_strength:=" + value, "_style_weights:=" + value),
                "~max_side: must be 0",
                "~strength: strength must be a number",
                "~style_weights: weights must not be negative",
            )

    def test_what_yaml_reads_otherwise_is_taken_as_it_was_meant(self):
        status = first_status("_model:=cascade", "_level_strength:=5:0.2", "_keep_colours:=no", "_levels:=5,4")
        self.assertEqual(status.controls, "level_strength 5:0.2, levels 5,4")  # not 300.2 and not False

    def test_old_names_of_parameters_are_taken_with_a_warning(self):
        output = end(start_and_wait("_dtype:=float16", "_precision:=auto", "_keep_colors:=coral"))
        self.assertEqual(output.count("~dtype is deprecated; use ~precision"), 1, output)
        self.assertNotIn("keep_colors", output)
        read = lambda values: params.read(lambda name, default: values.get(name, default))
        found = read({"~dtype": "float16", "~precision": "auto", "~keep_colors": "coral"})
        self.assertEqual((found.precision, found.dtype), ("float16", "float16"))
        self.assertEqual(found.controls, Controls(keep_colours="coral"))

    def test_a_random_style_is_one_of_the_known(self):
        self.assertIn(first_status("_style:=random").style, StyleLibrary().paths())

    def test_damaged_weights_are_a_state_that_refuses_quickly(self):
        share = rospkg.RosPack().get_path("ros_style_transfer")
        with tempfile.TemporaryDirectory() as folder:
            # A copy of the package whose weights have lost their end; it comes first on the path.
            shutil.copytree(
                os.path.join(share, "ros_style_transfer"),
                os.path.join(folder, "ros_style_transfer"),
                ignore=shutil.ignore_patterns("__pycache__"),
            )
            shutil.copytree(os.path.join(share, "weights"), os.path.join(folder, "weights"))
            name = os.path.join(folder, "weights", "live.npz")
            with open(name, "rb+") as file:
                file.truncate(os.path.getsize(name) - 1000)
            node = os.path.join(folder, "ros_style_transfer", "nodes", "style_transfer_node")
            process = start(
                command=(sys.executable, node), env=dict(os.environ, PYTHONPATH=folder + ":" + os.environ["PYTHONPATH"])
            )
            try:
                rospy.wait_for_service("/probe/set_style", 30)
                asked = time.monotonic()
                answer = rospy.ServiceProxy("/probe/set_style", SetStyle)(style="mosaic")
                self.assertLess(time.monotonic() - asked, 40)
                status = rospy.wait_for_message("/probe/status", StyleStatus, 20)
            finally:
                end(process)
        self.assertFalse(answer.success)
        self.assertIn("live.npz are damaged", answer.message)
        self.assertEqual(status.state, StyleStatus.ERROR)
        self.assertIn("live.npz are damaged", status.message)

    def test_a_request_that_gave_up_while_loading_does_not_silence_the_later_ones(self):
        share = rospkg.RosPack().get_path("ros_style_transfer")
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(os.path.join(share, "weights", "manifest.json"), folder)
            open(os.path.join(folder, "live.npz"), "wb").close()
            process = start_impatient(0.05, "_weights_dir:=" + folder)
            try:
                rospy.wait_for_service("/probe/set_style", 30)
                set_style = rospy.ServiceProxy("/probe/set_style", SetStyle)
                early = set_style(style="mosaic").message
                deadline = time.monotonic() + 60
                while "live.npz are damaged" not in set_style(style="mosaic").message:
                    self.assertLess(time.monotonic(), deadline, "nobody answers")
            finally:
                end(process)
        self.assertEqual(early, "the style was not set within 0.05 s (state: loading)")

    def test_a_worker_that_cannot_go_on_ends_the_node(self):
        """So that roslaunch can respawn it: it would look alive, and paint nothing."""
        process = start(
            "_model:=lite",
            "_precision:=float32",
            command=(
                sys.executable,
                "-c",
                (
                    "from ros_style_transfer.ros import node; from ros_style_transfer.streaming.worker import Worker; "
                    "Worker._work = lambda self, stylizer: 1 / 0; node.main()"
                ),
            ),
        )
        output = process.communicate(timeout=120)[0]
        self.assertEqual(process.returncode, 1, output)
        self.assertIn("the worker failed: ZeroDivisionError", output)
        self.assertIn("the worker ended: ZeroDivisionError", output)

    def test_a_wrong_style_or_folder_ends_the_node_with_one_sentence(self):
        for argument, words in (
            ("_style:=nope", "unknown style 'nope'"),
            ("_style:=/etc/passwd", "outside"),
            ("_style_dirs:=/no/such/folder", "/no/such/folder"),
        ):
            self.assert_refused((argument,), words)

    def test_it_reports_loading_at_once_then_is_ready_and_ends_quickly(self):
        states, came = [], threading.Condition()

        def store(message):
            with came:
                states.append(message.state)
                came.notify_all()

        rospy.Subscriber("/probe/status", StyleStatus, store)
        # A number, not a string: roslaunch makes such.  Patches this large fit no little picture to warm up with.
        process = start("_levels:=2", "_max_side:=64", "_swap:=0.5", "_swap_level:=2", "_swap_patch:=9")
        with came:
            self.assertTrue(came.wait_for(lambda: states, 20), "no status came")
            self.assertEqual(states[0], StyleStatus.LOADING)
            # With nobody listening a loaded node rests.
            self.assertTrue(came.wait_for(lambda: StyleStatus.PAUSED in states, 60), states)
        asked = time.monotonic()
        output = end(process)
        self.assertLess(time.monotonic() - asked, 10)
        self.assertNotIn("Traceback", output)
        self.assertEqual(process.returncode, 0)

    def wait_until_deaf(self):
        """Until the node no longer listens to the camera."""
        deadline = time.monotonic() + 20
        while "/probe" in dict(rosgraph.Master("/parameters_test").getSystemState()[1]).get("/lens", []):
            self.assertLess(time.monotonic(), deadline, "it went on listening to the camera")
            time.sleep(0.1)

    def test_the_camera_becomes_the_style_though_nobody_listens(self):
        process = start("image:=/lens")
        timer = None
        try:
            deadline = time.monotonic() + 60
            while rospy.wait_for_message("/probe/status", StyleStatus, 20).state != StyleStatus.PAUSED:
                self.assertLess(time.monotonic(), deadline, "it did not get ready")
            set_style = rospy.ServiceProxy("/probe/set_style", SetStyle)
            asked = time.monotonic()
            blind = set_style(style="camera")
            waited = time.monotonic() - asked
            self.wait_until_deaf()
            lens = rospy.Publisher("/lens", Image, queue_size=1)
            frame = Image(height=40, width=50, encoding="rgb8", step=150, data=bytes(range(250)) * 24)
            timer = rospy.Timer(rospy.Duration(0.1), lambda event: lens.publish(frame))
            time.sleep(1)
            late = rospy.wait_for_message("/probe/status", StyleStatus, 20)
            seeing = set_style(style="camera")
            self.wait_until_deaf()
        finally:
            if timer is not None:
                timer.shutdown()
            end(process)
        self.assertFalse(blind.success)
        self.assertIn("no frame on /lens for 5 s", blind.message)
        self.assertLess(waited, 8, "it waited for a camera that shows nothing")
        self.assertEqual((blind.style, late.style), ("flow_night", "flow_night"), "what was refused came true")
        self.assertTrue(seeing.success, seeing.message)
        self.assertEqual(seeing.style, "camera")

    def test_a_shutdown_while_loading_is_quick_too(self):
        process = start()
        rospy.wait_for_message("/probe/status", StyleStatus, 20)
        asked = time.monotonic()
        output = end(process)
        self.assertLess(time.monotonic() - asked, 8)
        self.assertNotIn("Traceback", output)


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "parameters", ParametersTest)
