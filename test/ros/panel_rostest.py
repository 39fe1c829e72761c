#!/usr/bin/env python3
"""The panel as people use it: a real window on a screen of its own, clicked and dragged, and a real node."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import numpy as np
import rosgraph
import rospy
import rostest
from diagnostic_msgs.msg import KeyValue
from dynamic_reconfigure.msg import BoolParameter, Config, DoubleParameter, StrParameter
from PIL import Image as Picture
from python_qt_binding.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from python_qt_binding.QtGui import QImage, QMouseEvent, QWheelEvent
from python_qt_binding.QtTest import QTest
from python_qt_binding.QtWidgets import QApplication, QDialogButtonBox, QFileDialog
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool

from ros_style_transfer.controls import CONTROLS
from ros_style_transfer.media import images
from ros_style_transfer.media.style_library import SHIPPED
from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.ros.conversions import to_rgb
from ros_style_transfer.ros.panel.client import PanelClient
from ros_style_transfer.ros.panel.window import COLOURS, StylePanel, forget_opencvs_plugins
from ros_style_transfer.srv import ListStyles, ListStylesResponse, SetStyle, SetStyleResponse

NODE = "/style_transfer"
STALL = 1.0  # seconds for which a window may stand still on a busy machine; any wait for the node is longer

# A panel in a process of its own, whose window is closed once it is shown.
CLOSED = """
import threading, time
from python_qt_binding.QtCore import QMetaObject, Qt
from python_qt_binding.QtWidgets import QApplication
from ros_style_transfer.ros.panel import window
def close():
    while QApplication.instance() is None or not any(w.isVisible() for w in QApplication.topLevelWidgets()):
        time.sleep(0.1)
    print(time.time(), flush=True)
    QMetaObject.invokeMethod(QApplication.instance(), "closeAllWindows", Qt.QueuedConnection)
threading.Thread(target=close, daemon=True).start()
window.main()
"""


def screen():
    """A screen: the process of an Xvfb, on whichever number is free."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x1024x24"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as told:
        os.environ["DISPLAY"] = ":" + told.readline().strip()
    os.environ.update(QT_QPA_PLATFORM="xcb", QT_X11_NO_MITSHM="1")
    return process


def pump(condition, timeout=60.0):
    """Let the window live until ``condition``; whether it came true."""
    until = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > until:
            return False
        QApplication.processEvents()
        time.sleep(0.005)
    return True


def click(button):
    QTest.mouseClick(button, Qt.LeftButton)


def drag(slider, share):
    """Drag a slider's handle to ``share`` of its length."""
    half = 7  # pixels of the handle on each side of its middle
    place = lambda value: QPoint(round(half + value * (slider.width() - 2 * half)), slider.height() // 2)
    start = (slider.value() - slider.minimum()) / (slider.maximum() - slider.minimum())
    QTest.mousePress(slider, Qt.LeftButton, Qt.NoModifier, place(start))
    for step in range(1, 9):  # QTest.mouseMove holds no button down
        QApplication.sendEvent(
            slider,
            QMouseEvent(
                QEvent.MouseMove,
                QPointF(place(start + (share - start) * step / 8)),
                Qt.NoButton,
                Qt.LeftButton,
                Qt.NoModifier,
            ),
        )
        pump(lambda: False, 0.02)
    QTest.mouseRelease(slider, Qt.LeftButton, Qt.NoModifier, place(share))


def choose(box, text):
    """Choose an item of a combo box by its keys, as far down as it is."""
    box.setFocus()
    QTest.keyClick(box, Qt.Key_Home)
    while box.currentText() != text:
        before = box.currentIndex()
        QTest.keyClick(box, Qt.Key_Down)
        assert box.currentIndex() > before, text


def array(pixmap):
    image = pixmap.toImage().convertToFormat(QImage.Format_RGB888)
    data = image.bits().asstring(image.byteCount())
    rows = np.frombuffer(data, np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3)


class Listener:
    """The newest of what a topic brought, and all pictures of the last seconds."""

    def __init__(self, topic, kind):
        self.messages = []
        self._subscriber = rospy.Subscriber(topic, kind, self._store, queue_size=10, buff_size=2**24)

    def _store(self, message):
        self.messages = self.messages[-30:] + [message]

    def newest(self):
        return self.messages[-1] if self.messages else None


class Heartbeat:
    """How long the window stood still at most, while this was watched."""

    def __enter__(self):
        self.longest, self._last = 0.0, time.monotonic()
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(20)
        return self

    def _beat(self):
        now = time.monotonic()
        self.longest, self._last = max(self.longest, now - self._last), now

    def __exit__(self, *_):
        self._beat()
        self._timer.stop()


class FakeNode:
    """A node whose answers the test decides: styles on no disk of ours, requests that take their time."""

    def __init__(self, name):
        self.let_go, self.requests = threading.Event(), []
        self.refuse = False
        self.status = rospy.Publisher(name + "/status", StyleStatus, queue_size=1, latch=True)
        self.parameters = rospy.Publisher(name + "/parameter_updates", Config, queue_size=1, latch=True)
        rospy.Service(
            name + "/list_styles",
            ListStyles,
            lambda _: ListStylesResponse(
                ["far", "near"], ["/no/such/far.jpg", os.path.join(SHIPPED, "mosaic.jpg")], "far", []
            ),
        )
        rospy.Service(name + "/set_style", SetStyle, self._on_set_style)
        self.tell()

    def tell(self, **fields):
        self.status.publish(
            StyleStatus(
                **dict(dict(state="ready", model="cascade", style="near", strength=0.7, message="fake"), **fields)
            )
        )

    def _on_set_style(self, request):
        self.requests.append(request)
        self.let_go.wait(30)
        return SetStyleResponse(not self.refuse, "no, for a reason" if self.refuse else "done", "near", 1.0)


class PanelTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.screen = screen()
        rospy.init_node("panel_test")
        cls.folder = os.path.realpath(tempfile.mkdtemp(prefix="panel-test-"))
        cls.styles, cls.output = os.path.join(cls.folder, "styles"), os.path.join(cls.folder, "output")
        os.makedirs(os.path.join(cls.styles, "masks"))
        half = np.zeros((48, 64), np.uint8)
        half[:, 32:] = 255
        Picture.fromarray(half).save(os.path.join(cls.styles, "masks", "half.png"))
        os.mkdir(cls.output)
        cls.start_node()
        forget_opencvs_plugins()
        cls.application = QApplication(["panel_test"])
        cls.panel = StylePanel(PanelClient())
        cls.panel.show()
        cls.status, cls.painted = Listener(NODE + "/status", StyleStatus), Listener(NODE + "/image", Image)
        cls.camera = Listener(rospy.resolve_name("image"), Image)
        ready = pump(lambda: cls.status.newest() and cls.status.newest().state == "ready", 120)
        assert ready, cls.panel.state.text()

    @classmethod
    def tearDownClass(cls):
        cls.panel.shutdown()
        cls.panel.close()
        cls.process.send_signal(signal.SIGINT)
        cls.process.wait(60)
        cls.screen.terminate()
        cls.screen.wait(10)
        shutil.rmtree(cls.folder)

    @classmethod
    def start_node(cls):
        cls.process = subprocess.Popen(
            [
                "rosrun",
                "ros_style_transfer",
                "style_transfer_node",
                "__name:=" + NODE[1:],
                "image:=" + rospy.resolve_name("image"),
                "_style:=mosaic",
                "_max_side:=256",
                "_style_dirs:=" + cls.styles,
                "_output_dir:=" + cls.output,
            ]
        )

    def wait(self, condition, timeout=60.0):
        self.assertTrue(
            pump(condition, timeout),
            "%s | %s | %s" % (self.panel.state.text(), self.panel.message.text(), self.status.newest()),
        )

    def wait_for_status(self, condition, timeout=60.0):
        self.wait(lambda: condition(self.status.newest()), timeout)

    def click_style(self, name, panel=None):
        styles = (panel or self.panel).styles
        self.wait(lambda: styles.findItems(name, Qt.MatchExactly))
        item = styles.findItems(name, Qt.MatchExactly)[0]
        styles.scrollToItem(item)
        QTest.mouseClick(styles.viewport(), Qt.LeftButton, Qt.NoModifier, styles.visualItemRect(item).center())

    def call(self, service, kind, *args, **fields):
        """Ask the node as others do, while the window lives."""
        thread = threading.Thread(target=lambda: rospy.ServiceProxy(NODE + service, kind)(*args, **fields), daemon=True)
        thread.start()
        self.wait(lambda: not thread.is_alive())

    def test_it_shows_the_camera_and_the_painted_frames(self):
        def shown(picture, listener):
            if picture.shown is None:
                return False
            seen, side = array(picture.shown), max(picture.width(), picture.height())
            return any(
                np.array_equal(seen, images.limit_longest_side(to_rgb(message), side))
                for message in list(listener.messages)
                if message.width
            )

        self.wait(lambda: shown(self.panel.camera, self.camera))
        self.wait(lambda: shown(self.panel.painted, self.painted))
        self.assertEqual(self.panel.painted.shown.width(), 256)
        # What the window itself has on it: the picture is there, not the group's grey.
        grabbed = array(self.panel.painted.grab())
        self.assertGreater(grabbed.reshape(-1, 3).std(0).min(), 10)
        self.assertIn("ready", self.panel.state.text())
        self.assertIn("live", self.panel.state.text())

    def test_a_click_chooses_a_style(self):
        for name in ("woodcut", "mosaic"):
            self.click_style(name)
            self.wait_for_status(lambda status: status.style == name and not status.weights)
        self.wait(lambda: not self.panel._unread_thumbnails)
        for row in range(self.panel.styles.count()):  # each has its picture, and all are different
            thumbnail = array(self.panel.styles.item(row).icon().pixmap(96, 96))
            self.assertGreater(thumbnail.std(), 5, self.panel.styles.item(row).text())

    def test_several_styles_are_weighed(self):
        self.click_style("chalk")
        click(self.panel.mix)
        self.click_style("mosaic")
        self.wait_for_status(lambda status: status.style == "chalk,mosaic" and list(status.weights) == [1, 1])
        self.wait(lambda: list(self.panel.weights) == ["chalk", "mosaic"])  # the panel hears of it when it does
        drag(self.panel.weights["chalk"], 0.25)
        self.wait_for_status(lambda status: len(status.weights) == 2 and abs(status.weights[0] - 0.25) < 0.1)
        self.assertEqual(self.status.newest().weights[1], 1)
        click(self.panel.mix)
        self.wait_for_status(lambda status: status.style == "chalk")
        self.assertFalse(self.panel._mixture_area.isVisible())

    def test_sliders_and_switches_change_the_painting(self):
        panel = self.panel
        drag(panel.controls["strength"], 0.5)
        self.wait_for_status(lambda status: abs(status.strength - panel.controls["strength"].number()) < 1e-6)
        self.assertAlmostEqual(panel.controls["strength"].number(), 0.5, delta=0.05)
        panel.controls["strength"].setFocus()
        QTest.keyClick(panel.controls["strength"], Qt.Key_End)
        self.wait_for_status(lambda status: status.strength == 1)
        # live has three levels, and so does the panel.
        self.assertEqual([level for level, slider in panel.levels.items() if slider.isVisible()], [2, 1, 0])
        drag(panel.levels[2], 0.3)
        self.wait_for_status(lambda status: "level_strength 2:%g" % panel.levels[2].number() in status.controls)
        panel.levels[2].setFocus()
        QTest.keyClick(panel.levels[2], Qt.Key_End)
        self.wait_for_status(lambda status: "level_strength" not in status.controls)
        choose(panel.controls["method"], "adain")
        self.wait_for_status(lambda status: "method adain" in status.controls)
        choose(panel.controls["keep_colours"], "luminance")
        self.wait_for_status(lambda status: "keep_colours luminance" in status.controls)
        choose(panel.controls["keep_colours"], "no")
        choose(panel.controls["method"], "wct")
        self.wait_for_status(lambda status: "method wct" in status.controls)
        drag(panel.controls["swap"], 0.4)
        choose(panel.controls["swap_level"], "1")
        swapped = lambda: "swap %g, swap_level 1" % panel.controls["swap"].number()
        self.wait_for_status(lambda status: swapped() in status.controls)
        # The node refuses, the panel says so in the node's words.
        choose(panel.controls["method"], "ot")
        self.wait(lambda: "it needs the method wct, not ot" in panel.message.text())
        panel.controls["swap"].setFocus()
        QTest.keyClick(panel.controls["swap"], Qt.Key_Home)
        choose(panel.controls["swap_level"], "the model's own (2)")
        choose(panel.controls["method"], "the model's own (ot)")
        self.wait_for_status(lambda status: status.controls == "")
        # What others change is followed.
        controls = dict(level_strength="2:0.4", method="wct", swap="0.2", swap_level="1", keep_colours="coral")
        self.call(
            "/set_style",
            SetStyle,
            set_strength=True,
            strength=0.6,
            controls=[KeyValue(*item) for item in controls.items()],
        )
        editors = panel.controls
        shown = lambda: (
            editors["strength"].number(),
            panel.levels[2].number(),
            panel.levels[1].number(),
            editors["method"].currentText(),
            editors["swap"].number(),
            editors["swap_level"].currentText(),
            editors["keep_colours"].currentText(),
        )
        self.wait(lambda: shown() == (0.6, 0.4, 1, "wct", 0.2, "1", "coral"))
        self.call(
            "/set_style", SetStyle, set_strength=True, strength=1.0, controls=[KeyValue(name, "") for name in controls]
        )
        self.wait(lambda: shown() == (1, 1, 1, "the model's own (ot)", 0, "the model's own (2)", "no"))

    def test_every_control_has_an_editor_and_all_are_reset_at_once(self):
        panel = self.panel
        self.assertEqual({*panel.controls, "level_strength"}, set(CONTROLS))
        for name, widget in {**panel.controls, **panel.levels}.items():
            self.assertTrue(widget.label.text() and widget.toolTip(), name)
        # The sliders' ranges are the table's; the wheel scrolls, and changes nothing on its way.
        slider = panel.controls["saturation"]
        self.assertEqual((slider.minimum(), slider.maximum()), (0, 200))
        slider.clearFocus()
        QApplication.sendEvent(
            slider,
            QWheelEvent(
                QPointF(5, 5),
                QPointF(5, 5),
                QPoint(),
                QPoint(0, 240),
                Qt.NoButton,
                Qt.NoModifier,
                Qt.NoScrollPhase,
                False,
            ),
        )
        self.assertEqual(slider.number(), 1)
        drag(slider, 0.25)
        self.wait_for_status(lambda status: "saturation %g" % slider.number() in status.controls)
        self.assertAlmostEqual(slider.number(), 0.5, delta=0.1)
        for name, key in (
            ("smoothing", Qt.Key_PageUp),
            ("style_scale", Qt.Key_PageDown),
            ("passes", Qt.Key_Up),
            ("style_crop", Qt.Key_PageDown),
            ("feather", Qt.Key_Up),
            ("strength", Qt.Key_PageDown),
        ):
            panel.controls[name].setFocus()
            QTest.keyClick(panel.controls[name], key)
        drag(panel.levels[1], 0.5)
        QTest.keyClicks(panel.controls["levels"], "2,1")
        QTest.keyClick(panel.controls["levels"], Qt.Key_Return)
        for text in (
            "smoothing 0.1",
            "style_scale 0.9",
            "style_crop 0.9",
            "passes 2",
            "feather 5",
            "strength 0.9",
            "level_strength 1:",
            "levels 2,1",
        ):
            self.wait_for_status(lambda status, text=text: text in status.controls)
        click(panel.reset)
        self.wait_for_status(lambda status: status.controls == "" and status.strength == 1)
        defaults = {name: CONTROLS[name].default for name in panel.controls}
        self.wait(
            lambda: {name: widget.chosen() for name, widget in panel.controls.items()}
            == {name: "" if default is None else default for name, default in defaults.items()}
        )
        self.assertEqual([slider.number() for slider in panel.levels.values()], [1] * len(panel.levels))
        self.assertEqual(panel.controls["levels"].text(), "")

    def test_the_mask_and_the_largest_side_are_set(self):
        panel = self.panel
        self.assertTrue(panel.mask.toolTip() and panel.max_side.toolTip())
        self.wait(lambda: panel.max_side.value() == 256 and panel.mask.findText("half") >= 0)
        self.assertEqual(panel.mask.currentText(), "none")
        painted_half = lambda: self.painted.newest() and self.has_plain_half(to_rgb(self.painted.newest()))
        choose(panel.mask, "half")
        self.wait(painted_half)
        choose(panel.mask, "none")
        self.wait(lambda: not painted_half())
        panel.max_side.setFocus()
        panel.max_side.selectAll()
        QTest.keyClicks(panel.max_side, "128")
        QTest.keyClick(panel.max_side, Qt.Key_Return)
        self.wait(lambda: self.painted.newest().width == 128)
        self.call("/set_style", SetStyle, controls=[KeyValue("max_side", "256")])
        self.wait(lambda: panel.max_side.value() == 256 and self.painted.newest().width == 256)

    def has_plain_half(self, painted):
        """Whether the left half is the camera's picture, and the right half is not."""
        message = self.camera.newest()
        if message is None:
            return False
        camera = images.resize(to_rgb(message), painted.shape[1], painted.shape[0]).astype(int)
        left, right = np.split(np.abs(painted - camera).mean(2), 2, axis=1)
        return left[:, :-16].mean() < 12 < right.mean()

    def test_a_render_shows_its_progress_and_its_picture(self):
        panel = self.panel
        panel.rendered.shown = None
        panel.render_size.setValue(128)
        panel.iterations.setValue(5)
        QTest.keyClicks(panel.save_as, "rendered.png")
        texts, previews = set(), set()

        def watched():
            texts.add(panel.progress_text.text())
            if panel.rendered.shown is not None:
                previews.add(array(panel.rendered.shown).tobytes())
            return panel._render is None

        click(panel.render_button)
        self.wait(panel.cancel.isEnabled, 2)
        with Heartbeat() as heart:
            self.wait(watched, 60)
        self.assertTrue(any("of 5" in text for text in texts), texts)
        self.assertIn("starting", texts, "nothing waits before it")
        self.assertIn("rendered 128x96", panel.message.text())
        self.assertGreater(len(previews), 1, "it is seen growing")
        path = os.path.join(self.output, "rendered.png")
        self.wait(lambda: np.array_equal(array(panel.rendered.shown), images.read(path)))
        self.assertEqual(panel.progress.value(), panel.progress.maximum())
        self.wait(panel.render_button.isEnabled)
        # The same name again is refused before anything is rendered.
        click(panel.render_button)
        self.wait(lambda: panel._render is None)
        self.assertIn("rendered.png", panel.message.text())
        self.assertEqual(panel.progress.value(), 0)
        panel.save_as.clear()
        self.assertLess(heart.longest, STALL)

    def test_a_render_is_cancelled(self):
        panel = self.panel
        panel.render_size.setValue(128)
        panel.iterations.setValue(100000)
        click(panel.render_button)
        self.wait(lambda: "to go" in panel.progress_text.text(), 150)
        click(panel.cancel)
        self.wait(lambda: panel._render is None)
        self.assertIn("cancelled", panel.message.text())
        self.assertNotIn(COLOURS["error"], panel.message.styleSheet(), "it is what was asked for")
        self.wait(lambda: panel.render_button.isEnabled() and not panel.cancel.isEnabled())

    def test_a_file_becomes_a_style(self):
        path = os.path.join(self.folder, "my.own.style.png")
        picture = np.zeros((300, 200, 3), np.uint8)
        picture[::7], picture[:, ::5] = (250, 40, 40), (40, 40, 250)
        Picture.fromarray(picture).save(path)
        click(self.panel.add)
        self.wait(lambda: self.panel.findChildren(QFileDialog))
        dialog = self.panel.findChild(QFileDialog)
        dialog.selectFile(path)
        button = dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.Open)
        self.wait(button.isEnabled)
        click(button)
        self.wait_for_status(lambda status: status.style == "my_own_style")
        self.wait(lambda: self.panel.styles.findItems("my_own_style", Qt.MatchExactly))
        item = self.panel.styles.findItems("my_own_style", Qt.MatchExactly)[0]
        self.wait(item.isSelected)
        self.wait(lambda: array(item.icon().pixmap(96, 96)).std() > 20)
        # A file that is no picture is told of, too.
        self.panel._add_style(os.path.abspath(__file__))
        self.wait(lambda: "panel_rostest.py" in self.panel.message.text() and "adding" not in self.panel.message.text())
        self.click_style("mosaic")
        self.wait_for_status(lambda status: status.style == "mosaic")

    def test_frames_are_saved_and_the_node_rests(self):
        self.wait(self.painted.newest)
        click(self.panel.save)
        self.wait(lambda: "_painted.png" in self.panel.message.text())
        path = self.panel.message.text().split(" (painted ")[0]  # if it is not the newest frame, its age follows
        self.assertEqual(images.read(path).shape, (192, 256, 3))
        for paused in (True, False):
            click(self.panel.pause)
            self.wait_for_status(lambda status: (status.state == "paused") == paused)
            self.assertEqual(self.panel.pause.isChecked(), paused)
        for paused in (True, False):  # somebody else does it
            self.call("/pause", SetBool, paused)
            self.wait(lambda: self.panel.pause.isChecked() == paused)

    def test_it_lives_through_the_nodes_end_and_start(self):
        panel = self.panel
        self.click_style("chalk")
        drag(panel.levels[2], 0.4)
        self.wait_for_status(lambda status: status.style == "chalk" and "level_strength" in status.controls)
        with Heartbeat() as heart:
            self.process.kill()
            self.process.wait()
            self.wait(lambda: "waiting for <b>%s</b>" % NODE in panel.state.text() and "silent" in panel.state.text())
            self.assertFalse(panel.controls["strength"].isEnabled())
            self.status.messages, self.painted.messages = [], []
            self.start_node()
            self.wait(lambda: "loading" in panel.state.text() or "ready" in panel.state.text(), 40)
            self.wait(lambda: self.status.newest() and self.status.newest().state == "ready", 60)
            self.wait(self.painted.newest)
        self.assertLess(heart.longest, STALL)
        self.wait(lambda: panel._selected_styles() == ["mosaic"] and panel.levels[2].number() == 1)
        self.click_style("woodcut")
        self.wait_for_status(lambda status: status.style == "woodcut")
        panel.save_as.clear()
        panel.render_size.setValue(64)
        panel.iterations.setValue(2)
        click(panel.render_button)
        self.wait(lambda: panel._render is None, 60)
        self.assertIn("rendered 64x48", panel.message.text())

    def test_a_slow_node_holds_up_nothing(self):
        rospy.set_param("~image_transport", "compressed")
        self.addCleanup(rospy.delete_param, "~image_transport")
        node = FakeNode("fake")
        panel = StylePanel(PanelClient("fake", "nothing"))
        self.addCleanup(panel.shutdown)
        panel.show()
        self.wait(lambda: panel.controls["strength"].isEnabled() and panel.controls["strength"].number() == 0.7)
        self.wait(lambda: panel.styles.count() == 2 and not panel._unread_thumbnails)
        camera = rospy.Publisher("nothing/compressed", CompressedImage, queue_size=1, latch=True)
        with open(os.path.join(SHIPPED, "mosaic.jpg"), "rb") as file:
            camera.publish(CompressedImage(format="jpeg", data=file.read()))
        self.wait(lambda: panel.camera.shown is not None and array(panel.camera.shown).std() > 20)
        self.assertEqual([level for level, slider in panel.levels.items() if slider.isVisible()], [5, 4, 3, 2, 1])
        blank, thumbnail = (array(panel.styles.item(row).icon().pixmap(96, 96)) for row in (0, 1))
        self.assertLess(blank.std(), 1, "a picture on the node's disk alone has no thumbnail")
        self.assertGreater(thumbnail.std(), 20)
        with Heartbeat() as heart:
            drag(panel.controls["strength"], 0.2)
            drag(panel.levels[5], 0.5)
            self.click_style("far", panel)
            self.wait(lambda: node.requests)
            pump(lambda: node.tell(strength=0.7), 1)  # statuses of before the request
            self.assertAlmostEqual(panel.controls["strength"].number(), 0.2, delta=0.05)
            self.assertEqual(len(node.requests), 1, "one request at a time")
            node.let_go.set()
            self.wait(lambda: len(node.requests) == 2)
        self.assertLess(heart.longest, STALL)
        last = node.requests[-1]
        self.assertEqual((last.styles, last.strength), (["far"], np.float32(panel.controls["strength"].number())))
        self.assertEqual(
            [(item.key, item.value) for item in last.controls], [("level_strength", "5:%g" % panel.levels[5].number())]
        )
        # What others change is followed, and what is refused is taken back.
        node.parameters.publish(
            Config(
                bools=[BoolParameter("paused", True)],
                strs=[StrParameter("method", "adain")],
                doubles=[DoubleParameter("level_strength_5", 0.9), DoubleParameter("swap", 0.3)],
            )
        )
        node.tell(strength=0.35, style="far,near", weights=[1, 3])
        self.wait(lambda: panel.levels[5].number() == 0.9 and panel.controls["strength"].number() == 0.35)
        self.assertEqual((panel.controls["method"].currentText(), panel.controls["swap"].number()), ("adain", 0.3))
        self.assertTrue(panel.pause.isChecked())
        self.assertEqual({name: slider.number() for name, slider in panel.weights.items()}, {"far": 0.33, "near": 1})
        node.refuse = True
        panel.levels[5].setFocus()
        QTest.keyClick(panel.levels[5], Qt.Key_Home)
        self.wait(lambda: panel.message.text() == "no, for a reason")
        self.wait(lambda: panel.levels[5].number() == 0.9)

    def test_it_ends_at_once(self):
        environment = dict(os.environ)
        closed = subprocess.Popen(
            [sys.executable, "-c", CLOSED, "image:=" + rospy.resolve_name("image")], stdout=subprocess.PIPE, text=True
        )
        # One whose master is not there yet, and comes, and goes again.
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        environment["ROS_MASTER_URI"] = "http://localhost:%d" % port
        early = subprocess.Popen(["rosrun", "ros_style_transfer", "style_panel"], env=environment)
        self.addCleanup(early.kill)
        began = float(closed.stdout.readline())
        self.assertEqual(closed.wait(30), 0)
        self.assertLess(time.time() - began, 8, "it waited for the master")
        master = subprocess.Popen(
            ["rosmaster", "--core", "-p", str(port)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(master.wait)
        self.addCleanup(master.kill)

        def subscribed():
            try:
                topics = rosgraph.Master("/panel_test", environment["ROS_MASTER_URI"]).getSystemState()[1]
            except OSError:
                return False
            return any(topic == "/style_transfer/render/preview" for topic, _ in topics)

        self.wait(subscribed)
        master.send_signal(signal.SIGSTOP)  # worse than gone: it takes calls and does not answer
        began = time.time()
        early.send_signal(signal.SIGINT)
        self.assertEqual(early.wait(30), 0)
        self.assertLess(time.time() - began, 8, "it waited for the master")


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "panel", PanelTest)
