#!/usr/bin/env python3
"""A node in operation: changed by dynamic_reconfigure, paused, saved from, given styles, diagnosed, and orphaned."""

import glob
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import xmlrpc.client

import numpy as np
import rosgraph
import rospy
import rosservice
import rostest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from dynamic_reconfigure.client import Client
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger
from topics import Topic, wait_until

from ros_style_transfer.cfg import StyleTransferConfig
from ros_style_transfer.controls import CONTROLS, Range
from ros_style_transfer.media import images
from ros_style_transfer.media.style_library import StyleLibrary
from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.ros.conversions import to_message, to_rgb
from ros_style_transfer.srv import AddStyle, ListStyles, Render, SetStyle
from ros_style_transfer.stylizer import Stylizer

# A node that checks its master more often than every 5 s, and says when it has done so for the first time.
WATCHFUL_NODE = """
import rosgraph
from ros_style_transfer.ros import master_watch, node
master_watch.PERIOD, ask = 0.5, rosgraph.Master.getPid
def get_pid(self):
    found = ask(self)
    print("knows the master", flush=True)
    return found
rosgraph.Master.getPid = get_pid
node.main()
"""
NODE = "/style_transfer"
PAGE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "doc", "node.md")
LIBRARY = StyleLibrary()


def answers(call, *arguments):
    """Whether a master answers a call with success."""
    try:
        return call(*arguments)[0] == 1
    except OSError:
        return False


class Operation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rospy.init_node("operation_test")
        cls.status = Topic(NODE + "/status", StyleStatus)
        cls.status.wait(lambda s: s.state in (StyleStatus.READY, StyleStatus.PAUSED), seen=0, timeout=90)
        cls.client = Client(NODE, timeout=60)
        cls.first = cls.client.get_configuration(timeout=60)  # nothing was changed yet

    def ask(self, **request):
        answer = rospy.ServiceProxy(NODE + "/set_style", SetStyle)(**request)
        self.assertTrue(answer.success, answer.message)

    def call(self, name, kind, *arguments):
        return rospy.ServiceProxy(NODE + "/" + name, kind)(*arguments)

    def assert_status(self, **wanted):
        self.status.wait(lambda s: all(getattr(s, name) == value for name, value in wanted.items()))

    def assert_shown(self, **wanted):
        """dynamic_reconfigure and the parameters show this soon."""
        shows = lambda: all(
            self.client.get_configuration()[name] == value and rospy.get_param(NODE + "/" + name) == value
            for name, value in wanted.items()
        )
        self.assertTrue(wait_until(shows, 15), "%s is not %s" % (self.client.get_configuration(), wanted))

    def test_the_page_names_every_topic_and_service_of_the_node_with_its_type(self):
        with open(PAGE) as file:
            rows = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+)[^|]*\| (.*?) \|", file.read(), re.M)
        told = {name: kind for names, kind in rows for name in re.findall("`([^`]+)`", names)}
        master = rosgraph.Master(rospy.get_name())
        with Topic(NODE + "/image", Image) as painted:
            painted.wait()
            publishers, subscribers, services = master.getSystemState()
        types = dict(master.getTopicTypes())
        shown = lambda name: name.replace(NODE + "/", "~")
        for topic, nodes in publishers:
            if NODE in nodes and topic != "/rosout" and "render_action" not in topic:
                name = shown(topic)
                self.assertIn(types[topic].split("/")[0], told[name], name)
                self.assertTrue("dynamic_reconfigure" in told[name] or "`%s`" % types[topic] == told[name], name)
        self.assertEqual(
            {topic for topic, nodes in subscribers if NODE in nodes and "render_action" not in topic},
            {"/camera/image_raw", "/camera/camera_info"},
        )
        for service, nodes in services:
            if NODE in nodes and "logger" not in service:
                kind = rosservice.get_service_type(service)
                self.assertEqual("`%s`" % kind, told[shown(service)])
        self.assertEqual(told["~render_action"], "`ros_style_transfer/Render` (actionlib)")

    # --- dynamic_reconfigure ----------------------------------------------------------------------

    def test_every_control_can_be_changed_live_within_its_own_range(self):
        fields = {
            field["name"]: field
            for group in [StyleTransferConfig.config_description] + StyleTransferConfig.config_description["groups"]
            for field in group["parameters"]
        }
        self.assertGreaterEqual(set(fields), set(CONTROLS) - {"level_strength"})
        for name, control in CONTROLS.items():
            if isinstance(control.allowed, Range):
                self.assertEqual((fields[name]["min"], fields[name]["max"]), control.allowed)
        groups = {group["name"] for group in StyleTransferConfig.config_description["groups"]}
        self.assertEqual(groups, {"Style", "Painting", "Levels", "Swap", "Node"})

    def test_it_shows_what_the_node_was_started_with(self):
        for name, value in (
            ("style", "mosaic,woodcut"),
            ("style_weights", "3,1"),
            ("level_strength_2", 0.5),
            ("level_strength_1", 1.0),
            ("max_side", 96),
            ("strength", 1.0),
            ("method", ""),
        ):
            self.assertEqual(self.first[name], value)

    def test_a_change_is_in_force_when_the_request_is_answered(self):
        self.ask(style="mosaic", controls=[KeyValue("level_strength", "")])
        answer = self.client.update_configuration(
            {
                "strength": 0.5,
                "style": "cubism",
                "method": "adain",
                "level_strength_2": 0.25,
                "levels": "2,1",
                "max_side": 64,
            }
        )
        self.assertEqual((answer["strength"], answer["style"]), (0.5, "cubism"))
        self.assert_status(
            strength=0.5, style="cubism", controls="strength 0.5, level_strength 2:0.25, levels 2,1, method adain"
        )
        with Topic(NODE + "/image", Image) as painted:
            self.assertEqual(painted.wait().width, 64)
        self.client.update_configuration(
            {"strength": 1.0, "method": "", "level_strength_2": 1.0, "levels": "", "max_side": 96}
        )
        self.assert_status(controls="")

    def test_the_services_changes_show_in_dynamic_reconfigure_and_in_the_parameters(self):
        self.ask(
            styles=["woodcut", "chalk"],
            weights=[1, 3],
            set_strength=True,
            strength=0.75,
            controls=[KeyValue("level_strength", "1:0.5"), KeyValue("keep_colours", "luminance")],
            mask="left",
        )
        self.assert_shown(
            style="woodcut,chalk",
            style_weights="1,3",
            strength=0.75,
            level_strength_1=0.5,
            keep_colours="luminance",
            mask="left",
        )
        self.ask(
            style="mosaic",
            set_strength=True,
            strength=1.0,
            mask="none",
            controls=[KeyValue("level_strength", ""), KeyValue("keep_colours", "")],
        )
        self.assert_shown(
            style="mosaic", style_weights="", strength=1.0, level_strength_1=1.0, keep_colours="no", mask=""
        )

    def test_what_is_wrong_is_shown_as_not_taken(self):
        self.ask(style="mosaic")
        self.assert_shown(style="mosaic", strength=1.0)
        for wrong in (
            {"style": "nope"},
            {"level_strength_5": 0.5},
            {"levels": "7"},
            {"mask": "../../etc/passwd"},
            {"strength": float("nan")},
            {"swap_patch": 4},
            {"style": "mosaic,chalk", "style_weights": "1"},
            {"paused": True, "fade": 3.0, "style": "nope"},
        ):
            answer = self.client.update_configuration(wrong)
            for name in wrong:
                self.assertEqual(
                    answer[name],
                    {
                        "style": "mosaic",
                        "swap_patch": 3,
                        "strength": 1.0,
                        "fade": 0.0,
                        "level_strength_5": 1.0,
                        "paused": False,
                    }.get(name, ""),
                )
        self.assert_status(style="mosaic", controls="")

    def test_values_that_no_message_can_hold_stop_nothing(self):
        """A float32 ends at 3.4e38; a status that could not be sent once ended the worker."""
        self.client.update_configuration({"style": "mosaic,woodcut", "style_weights": "1e39,1"})
        status = self.status.wait(lambda s: s.style == "mosaic,woodcut" and len(s.weights) == 2)
        self.assertGreater(status.weights[0], 3.4e38)
        with Topic(NODE + "/image", Image) as painted:
            painted.wait()
            self.ask(style="mosaic")
            painted.wait()

    def test_the_dynparam_command_changes_the_node(self):
        subprocess.run(
            ["rosrun", "dynamic_reconfigure", "dynparam", "set", NODE, "smoothing", "0.25"], check=True, timeout=60
        )
        self.assert_status(controls="smoothing 0.25")
        self.client.update_configuration({"smoothing": 0.0})

    def test_what_dynparam_has_dumped_it_loads_again(self):
        dynparam = lambda *arguments: subprocess.run(
            ["rosrun", "dynamic_reconfigure", "dynparam", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
        )
        self.client.update_configuration({"smoothing": 0.25, "style": "woodcut", "keep_colours": "luminance"})
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "look.yaml")
            self.assertEqual(dynparam("dump", NODE, path).returncode, 0)
            self.client.update_configuration({"smoothing": 0.0, "style": "mosaic", "keep_colours": "no"})
            self.status.wait(lambda s: s.style == "mosaic" and "smoothing" not in s.controls)
            loaded = dynparam("load", NODE, path)
        self.assertEqual((loaded.returncode, loaded.stdout.count("rror")), (0, 0), loaded.stdout)
        self.status.wait(lambda s: s.style == "woodcut" and "keep_colours luminance, smoothing 0.25" in s.controls)
        self.client.update_configuration({"smoothing": 0.0, "style": "mosaic", "keep_colours": "no"})

    # --- pause, save, add ---------------------------------------------------------------------------

    def test_paused_nothing_is_painted_and_the_camera_is_left_alone(self):
        with Topic(NODE + "/image", Image) as painted:
            painted.wait()
            self.assertTrue(self.call("pause", SetBool, True).success)
            self.assert_status(state=StyleStatus.PAUSED, input_rate=0.0, output_rate=0.0)
            self.assertTrue(self.client.get_configuration()["paused"])
            count = len(painted.messages)
            time.sleep(1.0)
            self.assertEqual(len(painted.messages), count)
            self.client.update_configuration({"paused": False})
            painted.wait()
            self.assert_status(state=StyleStatus.READY)

    def test_nothing_is_saved_without_a_folder(self):
        with Topic(NODE + "/image", Image) as painted:
            painted.wait()
        answer = self.call("save", Trigger)
        self.assertFalse(answer.success)
        self.assertIn("~output_dir is not set", answer.message)

    def test_the_newest_pair_is_saved_below_the_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            node = subprocess.Popen(
                [
                    "rosrun",
                    "ros_style_transfer",
                    "style_transfer_node",
                    "__name:=saver",
                    "image:=/camera/image_raw",
                    "_max_side:=64",
                    "_output_dir:=" + folder,
                ]
            )
            try:
                rospy.wait_for_service("saver/save", 60)
                save = rospy.ServiceProxy("saver/save", Trigger)
                self.assertIn("no frame was painted yet", save().message)
                with Topic("saver/image", Image) as painted:
                    painted.wait()
                    rospy.ServiceProxy("saver/pause", SetBool)(True)
                    time.sleep(1.0)
                    newest = to_rgb(painted.messages[-1])
                answer = save()
                self.assertTrue(answer.success, answer.message)
                self.assertEqual(os.path.dirname(answer.message), os.path.realpath(folder))
                np.testing.assert_array_equal(images.read(answer.message), newest)
                content = images.read(answer.message.replace("_painted", "_content"))
                self.assertEqual(content.shape, newest.shape)
                self.assertGreater(np.abs(content.astype(float) - newest).mean(), 5)
                self.assertTrue(save().success)
                self.assertEqual(len(glob.glob(os.path.join(folder, "*"))), 4)
            finally:
                node.send_signal(signal.SIGINT)
                node.wait(60)

    def test_an_added_style_is_known_painted_and_rendered_in(self):
        picture = LIBRARY.read("stained_glass")[:200, :160]
        answer = self.call("add_style", AddStyle, "window", to_message(picture, Header()), True)
        self.assertTrue(answer.success, answer.message)
        self.assert_status(style="window")
        listed = self.call("list_styles", ListStyles)
        self.assertIn("window", listed.names)
        np.testing.assert_array_equal(images.read(dict(zip(listed.names, listed.paths))["window"]), picture)
        stylizer = Stylizer("live", "float32")
        stylizer.set_style(picture)
        with Topic(NODE + "/image", Image) as painted, Topic("camera/image_raw", Image) as camera:
            message = painted.wait()
            frame = camera.wait(lambda m: m.header.stamp == message.header.stamp, seen=0)
        expected = stylizer.stylize(images.limit_longest_side(to_rgb(frame), 96))
        self.assertLess(np.abs(to_rgb(message).astype(float) - expected).mean(), 3)
        rendered = rospy.ServiceProxy(NODE + "/render", Render)(
            content=to_message(picture, Header()), styles=["window"], size=64, iterations=1
        )
        self.assertTrue(rendered.success, rendered.message)
        # A node that is started again has lost it, and must not be told to begin with it.
        self.assertTrue(wait_until(lambda: rospy.get_param(NODE + "/style") == "mosaic,woodcut"))
        # The same name again is another picture.
        self.assertTrue(self.call("add_style", AddStyle, "window", to_message(picture[:100], Header()), False).success)
        listed = self.call("list_styles", ListStyles)
        self.assertEqual(images.read(dict(zip(listed.names, listed.paths))["window"]).shape, (100, 160, 3))
        self.ask(style="mosaic")

    def test_a_style_that_cannot_be_added_is_named(self):
        good = to_message(LIBRARY.read("mosaic"), Header())
        broken = to_message(LIBRARY.read("mosaic"), Header())
        broken.data = broken.data[:100]
        for name, image, words in (
            ("../out", good, "letters, digits"),
            ("", good, "letters, digits"),
            ("camera", good, "letters, digits"),
            ("empty", Image(), "its image is empty"),
            ("broken", broken, "broken image"),
        ):
            answer = self.call("add_style", AddStyle, name, image, True)
            self.assertFalse(answer.success)
            self.assertIn(words, answer.message)

    # --- diagnostics ----------------------------------------------------------------------------------

    def diagnosed(self, topic, name, level):
        """The values of the first diagnosis of that name and level."""
        named = lambda m: [s for s in m.status if s.name == "%s: %s" % (NODE[1:], name) and s.level == level]
        status = named(topic.wait(named))[0]
        return status.message, {pair.key: pair.value for pair in status.values}

    def test_diagnostics_tell_rates_times_and_the_model(self):
        with Topic("/diagnostics", DiagnosticArray) as topic, Topic(NODE + "/image", Image):
            message, values = self.diagnosed(topic, "stream", DiagnosticStatus.OK)
            while "resting" in message or float(values["frames painted"].split()[0]) < 1:
                message, values = self.diagnosed(topic, "stream", DiagnosticStatus.OK)
            self.assertEqual((values["topic"], values["expected"]), ("/camera/image_raw", "1.00 Hz"))
            steps = [float(values[name].split()[0]) for name in ("decode", "network", "encode", "publish")]
            self.assertLessEqual(sum(steps), float(values["latency"].split()[0]) + 0.5)
            self.assertGreater(steps[1], 0)
            _, values = self.diagnosed(topic, "model", DiagnosticStatus.OK)
            self.assertEqual((values["model"], values["precision"]), ("live", "float32"))
            self.assertGreater(float(values["memory of the process"].split()[0]), 100)
            self.assertIn("PU", values["device"])
            message, _ = self.diagnosed(topic, "stream", DiagnosticStatus.OK)
            status = self.status.wait(lambda s: s.output_rate > 0)
            self.assertGreater(status.network_time, 0)
            self.assertLessEqual(
                status.decode_time + status.network_time + status.encode_time + status.publish_time,
                status.latency + 1e-3,
            )

    def test_a_silent_camera_is_warned_of_with_its_topic_and_publishers(self):
        publisher = rospy.Publisher("silent/image", Image, queue_size=1)
        node = subprocess.Popen(
            [
                "rosrun",
                "ros_style_transfer",
                "style_transfer_node",
                "__name:=blind",
                "image:=silent/image",
                "_always_subscribe:=true",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            with Topic("/diagnostics", DiagnosticArray) as topic, Topic("blind/status", StyleStatus) as status:
                warned = lambda m: [
                    s for s in m.status if s.name == "blind: stream" and s.level == DiagnosticStatus.WARN
                ]
                self.assertIn("no frame on /silent/image", warned(topic.wait(warned))[0].message)
                message = status.wait(lambda s: "for 5 s" in s.message).message
                self.assertIn("no frame on /silent/image for 5 s (publishers: /operation)", message)
                # It stays true, whatever else happens.
                rospy.ServiceProxy("blind/set_style", SetStyle)(style="woodcut")
                self.assertIn("no frame on /silent/image", status.wait(lambda s: s.style == "woodcut").message)
        finally:
            node.send_signal(signal.SIGINT)
            output = node.communicate(timeout=60)[0]
            publisher.unregister()
        self.assertEqual(output.count("no frame on"), 1, output)

    # --- connections ------------------------------------------------------------------------------------

    def test_a_silent_connection_blocks_nobody(self):
        """rospy would wait for its header before it accepts the next connection."""
        uri = rosgraph.Master("/operation_test").lookupNode(NODE)
        topic = xmlrpc.client.ServerProxy(uri).requestTopic("/operation_test", NODE + "/status", [["TCPROS"]])[2]
        with socket.create_connection((topic[1], topic[2])) as silent:
            silent.sendall(b"\x40")  # the first byte of a length
            with Topic(NODE + "/status", StyleStatus) as status:
                status.wait(timeout=8)
            self.ask(style="mosaic")
            silent.settimeout(30)
            self.assertEqual(silent.recv(1), b"", "it is closed in the end")

    # --- the camera and the master -----------------------------------------------------------------------

    def test_a_camera_that_vanishes_and_comes_back_is_painted_again(self):
        clip = os.path.join(os.environ.get("DEMO_MEDIA", "/usr/share/doc/opencv-doc/examples/data"), "vtest.avi")
        camera = lambda: subprocess.Popen(["rosrun", "image_publisher", "image_publisher", clip, "__name:=fickle"])
        node = subprocess.Popen(
            [
                "rosrun",
                "ros_style_transfer",
                "style_transfer_node",
                "__name:=patient",
                "image:=/fickle/image_raw",
                "_max_side:=64",
            ]
        )
        first = camera()
        try:
            with Topic("patient/image", Image) as painted, Topic("patient/status", StyleStatus) as status:
                painted.wait()
                first.send_signal(signal.SIGKILL)  # it says no goodbye
                first.wait()
                status.wait(lambda s: s.input_rate == 0)
                count = len(painted.messages)
                first = camera()
                painted.wait(seen=count)
                self.assertEqual(status.wait(lambda s: s.output_rate > 0).failed, 0)
        finally:
            first.kill()
            node.send_signal(signal.SIGINT)
            node.wait(60)

    def test_the_node_ends_cleanly_when_the_master_was_restarted(self):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        environment = dict(os.environ, ROS_MASTER_URI="http://localhost:%d" % port)
        master = lambda: subprocess.Popen(["rosmaster", "--core", "-p", str(port)], env=environment)
        first = master()
        proxy = xmlrpc.client.ServerProxy(environment["ROS_MASTER_URI"])
        try:
            self.assertTrue(wait_until(lambda: answers(proxy.getPid, "/test")))
            # The restarted master is noticed by comparison, so the node has to know the first one.
            node = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    WATCHFUL_NODE,
                    "_style:=mosaic",
                    "_max_side:=96",
                    "_model:=lite",
                    "_level_strength:='1:0.5'",
                ],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            said = []
            while "knows the master" not in "".join(said[-1:]):
                said.append(node.stdout.readline())
                self.assertIsNone(node.poll(), "".join(said))
            self.assertTrue(wait_until(lambda: answers(proxy.lookupService, "/test", "/style_transfer/set_style"), 60))
            first.send_signal(signal.SIGINT)
            first.wait(60)
            first = master()
            output = node.communicate(timeout=60)[0]
            known = proxy.getParam("/test", "/style_transfer")[2]
            # A node that roslaunch brings back paints as this one did.
            for name, value in dict(style="mosaic", max_side=96, model="lite", level_strength="1:0.5").items():
                self.assertEqual(known[name], value)
        finally:
            first.kill()
            first.wait()
        self.assertEqual(node.returncode, 0)
        self.assertIn("the ROS master was restarted", output)
        self.assertNotIn("Traceback", output)

    def test_a_master_that_hangs_does_not_keep_the_node_from_ending(self):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        environment = dict(os.environ, ROS_MASTER_URI="http://localhost:%d" % port)
        master = subprocess.Popen(["rosmaster", "--core", "-p", str(port)], env=environment)
        proxy = xmlrpc.client.ServerProxy(environment["ROS_MASTER_URI"])
        try:
            self.assertTrue(wait_until(lambda: answers(proxy.getPid, "/test")))
            node = subprocess.Popen(["rosrun", "ros_style_transfer", "style_transfer_node"], env=environment)
            self.assertTrue(wait_until(lambda: answers(proxy.lookupService, "/test", "/style_transfer/set_style"), 60))
            master.send_signal(signal.SIGSTOP)
            node.send_signal(signal.SIGTERM)
            node.wait(15)
        finally:
            master.kill()
            master.wait()

    def status_then_interrupt(self, folder):
        """In the middle of the setup, which talks to the master all the time."""
        with Topic("hasty/status", StyleStatus) as status:
            node = subprocess.Popen(
                ["rosrun", "ros_style_transfer", "style_transfer_node", "__name:=hasty"],
                env=dict(os.environ, TMPDIR=folder),
            )
            status.wait(seen=0)
            node.send_signal(signal.SIGINT)
            node.wait(10)

    def test_a_signal_at_any_moment_ends_the_node_soon_and_quietly(self):
        with tempfile.TemporaryDirectory() as folder:
            self.status_then_interrupt(folder)
            for moment, number in (
                (0.1, signal.SIGINT),
                (0.6, signal.SIGTERM),
                (1.0, signal.SIGINT),
                (1.5, signal.SIGTERM),
                (2.0, signal.SIGINT),
                (2.7, signal.SIGTERM),
            ):
                node = subprocess.Popen(
                    ["rosrun", "ros_style_transfer", "style_transfer_node", "__name:=brief"],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    env=dict(os.environ, TMPDIR=folder),
                )
                time.sleep(moment)
                sent = time.monotonic()
                node.send_signal(number)
                output = node.communicate(timeout=60)[0]
                # 2 s, and room for a machine that does other things, too; loading a model would go on for longer.
                self.assertLess(time.monotonic() - sent, 10, "signal %s after %g s" % (number, moment))
                self.assertNotIn("Traceback", output)
                self.assertEqual(os.listdir(folder), [])


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "operation", Operation)
