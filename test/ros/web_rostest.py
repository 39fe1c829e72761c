#!/usr/bin/env python3
"""The web page as people use it: a real browser, the real node, and clients that mean no good."""

import asyncio
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

import numpy as np
import rospy
import rostest
from PIL import Image as Picture
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ros_style_transfer.controls import CONTROLS
from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.ros import conversions
from ros_style_transfer.srv import ListStyles, ListStylesResponse, SetStyle

NODE = "/style_transfer"
BROWSER, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
LATENCY = 0.04  # seconds that the page may add on this computer

# Records when the page has drawn frames: [stamp, time] in seconds.
RECORD = """
window.drawn = [];
document.getElementById("pictures").addEventListener("drawn", (event) =>
  window.drawn.push([event.detail.stamp, (performance.timeOrigin + performance.now()) / 1000]));
"""
MEAN = """
const canvas = document.getElementById(arguments[0]);
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
let sum = 0;
for (let index = 0; index < data.length; index += 4) sum = (31 * sum + data[index] + data[index + 1]) % 1000003;
return [canvas.width, canvas.height, sum];
"""
# Elements that a screen reader could not name.
NAMELESS = """
return [...document.querySelectorAll("button, input, select, a, canvas, img, dialog, section")].filter((element) => {
  const labels = [...(element.labels || [])].map((label) => label.textContent.trim()).join("");
  const by = element.getAttribute("aria-labelledby");
  return !(labels || element.getAttribute("aria-label") || (by && document.getElementById(by).textContent.trim())
    || element.textContent.trim() || element.getAttribute("alt") !== null || element.closest("[aria-hidden=true]"));
}).map((element) => element.outerHTML.slice(0, 100));
"""
# Texts whose contrast is below 4.5, as WCAG 2 asks for.
PALE = """
const parse = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
return [...document.querySelectorAll("h1, h2, p, label, button, dt, dd, summary, output, .name, .help, option, li")]
  .filter((element) => element.checkVisibility() && element.textContent.trim())
  .filter((element) => !element.closest(":disabled, [data-off], #pictures, option"))
  .map((element) => {
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), element.textContent.trim().slice(0, 40), element.className];
  }).filter(([ratio]) => ratio < 4.5);
"""


def start_browser():
    """Headless Chromium.  Debian 12 must have it; on other systems its absence skips the tests."""
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        if not os.path.exists(BROWSER) or not os.path.exists(DRIVER):
            raise ImportError("%s and %s are not installed" % (BROWSER, DRIVER))
    except ImportError as error:
        with open("/etc/os-release") as file:
            if "VERSION_CODENAME=bookworm" in file.read():
                raise
        raise unittest.SkipTest("no browser: %s" % error) from None
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1366,800"):
        options.add_argument("--" + argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(service=Service(DRIVER), options=options)


class Program:
    """A program of the package that prints the link of its page."""

    def __init__(self, *arguments, environment=None):
        self.process = subprocess.Popen(
            ["rosrun", "ros_style_transfer", "web_panel", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(environment or os.environ, PYTHONUNBUFFERED="1"),
        )
        self.lines = []
        self._told = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if re.search("http://.*/|^web_panel: ", line) and "waiting" not in line:
                self._told.set()
        self._told.set()

    @property
    def link(self):
        assert self._told.wait(60), self.lines
        return next(line for line in self.lines if line.startswith("web_panel: http")).split(" ")[1]

    @property
    def port(self):
        return urllib.parse.urlsplit(self.link).port

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


class Newest:
    """The newest message of a topic."""

    def __init__(self, topic, kind):
        self.message = None
        self._subscriber = rospy.Subscriber(topic, kind, self._store, queue_size=1, buff_size=2**24)

    def _store(self, message):
        self.message = message


class FakeNode:
    """A node with two cameras whose frames the test makes."""

    def __init__(self, name):
        self.name = name
        rospy.set_param(name + "/cameras", "front,rear")
        self.status = rospy.Publisher(name + "/status", StyleStatus, queue_size=1, latch=True)
        self.painted = {
            camera: rospy.Publisher("%s/%s/image" % (name, camera), Image, queue_size=1, tcp_nodelay=True)
            for camera in ("front", "rear")
        }
        styles = ListStylesResponse(names=["far"], paths=["/no/such.jpg"])
        rospy.Service(name + "/list_styles", ListStyles, lambda _: styles)
        self._ending = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        values = {"front": 60, "rear": 180}
        pictures = {camera: np.full((480, 640, 3), value, np.uint8) for camera, value in values.items()}
        for count in range(10**6):
            if count % 20 == 0:
                self.status.publish(StyleStatus(state="ready", model="live", style="far", strength=1.0))
            for camera, publisher in self.painted.items():
                if publisher.get_num_connections():
                    publisher.publish(
                        conversions.to_message(pictures[camera], Header(stamp=rospy.Time.from_sec(time.time())))
                    )
            if self._ending.wait(0.05):
                return

    def stop(self):
        self._ending.set()


def wait(condition, timeout=40.0):
    """The value of ``condition()`` as soon as it is true."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            assert value, "waited %g s in vain" % timeout
            return value
        time.sleep(0.05)


class WebTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = start_browser()
        rospy.init_node("web_test")
        cls.folder = tempfile.mkdtemp(prefix="web-test-")
        cls.image = rospy.resolve_name("image")
        cls.start_node()
        cls.page = Program("image:=" + cls.image, "_port:=0")
        cls.status = Newest(NODE + "/status", StyleStatus)
        cls.size(1366, 800)
        cls.browser.get(cls.page.link)
        wait(lambda: cls.status.message and cls.status.message.state == "ready" and cls.text("#state") == "ready", 90)

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.page.stop()
        cls.node.send_signal(signal.SIGINT)
        cls.node.wait(20)
        shutil.rmtree(cls.folder)

    @classmethod
    def start_node(cls):
        cls.node = subprocess.Popen(
            ["rosrun", "ros_style_transfer", "style_transfer_node", "__name:=" + NODE[1:], "image:=" + cls.image]
            + ["_style:=mosaic", "_model:=lite", "_precision:=float32", "_max_side:=192", "_output_dir:=" + cls.folder]
        )

    # --- the browser ------------------------------------------------------------------------------

    @classmethod
    def size(cls, width, height, dark=False, touch=False):
        cls.browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", dict(width=width, height=height, deviceScaleFactor=1, mobile=touch)
        )
        scheme = dict(name="prefers-color-scheme", value="dark" if dark else "light")
        cls.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dict(features=[scheme]))

    @classmethod
    def script(cls, text, *arguments):
        return cls.browser.execute_script(text, *arguments)

    @classmethod
    def find(cls, selector):
        return cls.browser.find_element("css selector", selector)

    @classmethod
    def text(cls, selector):
        return cls.script("return document.querySelector(arguments[0]).textContent", selector).strip()

    def click(self, selector):
        element = self.find(selector)
        self.script("arguments[0].scrollIntoView({block: 'center'})", element)
        wait(element.is_enabled)
        element.click()

    def keys(self, selector, *keys):
        element = self.find(selector)
        self.script("arguments[0].closest('details') && (arguments[0].closest('details').open = true)", element)
        wait(element.is_enabled)
        element.send_keys(*keys)

    def drag(self, selector, part):
        """Drag a slider's handle to a part of its length."""
        from selenium.webdriver.common.action_chains import ActionChains

        slider = self.find(selector)
        self.script("arguments[0].scrollIntoView({block: 'center'})", slider)
        low, high, now = (float(slider.get_attribute(name)) for name in ("min", "max", "value"))
        width = slider.size["width"] - 20
        start = round(((now - low) / (high - low) - 0.5) * width)
        chain = ActionChains(self.browser, duration=50).move_to_element_with_offset(slider, start, 0).click_and_hold()
        for step in range(1, 5):
            chain.move_to_element_with_offset(slider, round(start + ((part - 0.5) * width - start) * step / 4), 0)
        chain.release().perform()

    def wait_for_status(self, condition):
        wait(lambda: condition(self.status.message))

    def tearDown(self):
        problems = [entry for entry in self.browser.get_log("browser") if "SEVERE" in entry["level"]]
        expected = ("favicon", "WebSocket connection", "ERR_CONNECTION", "404", "422", "net::ERR")
        self.assertEqual([p for p in problems if not any(word in p["message"] for word in expected)], [])

    # --- what it shows ------------------------------------------------------------------------------

    def test_both_pictures_are_live_in_each_arrangement(self):
        for layout in ("side", "slider", "painted"):
            self.script("document.querySelector(`[value=${arguments[0]}]`).click()", layout)
            shown = wait(lambda: self.text("#facts").endswith("192×144") and self.script(MEAN, "painted-picture"))
            self.assertEqual(shown[:2], [192, 144])
            wait(lambda: self.script(MEAN, "painted-picture") != shown)
            visible = self.script("return document.getElementById('camera-picture').checkVisibility()")
            self.assertEqual(visible, layout != "painted")
        self.script("document.querySelector('[value=slider]').click()")
        shown = self.script(MEAN, "camera-picture")
        wait(lambda: self.script(MEAN, "camera-picture") != shown)
        # The divider moves by keys.
        self.keys("#cut", "\ue010")
        self.assertEqual(
            self.script("return document.getElementById('pictures').style.getPropertyValue('--cut')"), "100%"
        )
        self.assertRegex(self.text("#rate"), r"^\d+\.\d fps · \d+")
        wait(lambda: "lite, float32" in self.text("#facts") and "decode" in self.text("#times"))

    def test_a_style_is_tapped_mixed_and_weighed(self):
        wait(lambda: self.script("return document.querySelectorAll('.style').length") >= 12)
        loaded = "return [...document.querySelectorAll('.style img')].filter((i) => i.naturalWidth > 200).length"
        self.script("document.querySelectorAll('.style img').forEach((image) => { image.loading = 'eager'; })")
        wait(lambda: self.script(loaded) >= 12)
        self.script(
            "const fade = document.getElementById('fade'); fade.value = 0; fade.dispatchEvent(new Event('input'))"
        )
        self.click("[data-style=woodcut]")
        self.wait_for_status(lambda status: status.style == "woodcut")
        wait(lambda: self.find("[data-style=woodcut]").get_attribute("aria-pressed") == "true")
        self.click("#mix")
        self.click("[data-style=chalk]")
        self.wait_for_status(lambda status: status.style == "woodcut,chalk")
        self.drag("#weight-0", 0.25)
        self.wait_for_status(lambda status: len(status.weights) == 2 and abs(status.weights[0] - 0.25) < 0.1)
        self.click("#mix")
        self.wait_for_status(lambda status: status.style == "woodcut")
        self.click("#random")
        self.click("[data-style=mosaic]")
        self.wait_for_status(lambda status: status.style == "mosaic")

    def test_controls_change_the_picture_and_follow_others(self):
        self.drag("#control-strength", 0.5)
        self.wait_for_status(lambda status: abs(status.strength - 0.5) < 0.1)
        number = float(self.find("#control-strength").get_attribute("value"))
        self.wait_for_status(lambda status: abs(status.strength - number) < 1e-6)
        self.keys("#control-strength", "\ue010")  # End
        self.wait_for_status(lambda status: status.strength == 1)
        self.keys("#control-level-2", "\ue011")  # Home
        self.wait_for_status(lambda status: "level_strength 2:0" in status.controls)
        self.assertFalse(self.find("#control-level-5").is_displayed(), "the model has no such level")
        self.keys("#control-method", "adain")
        self.keys("#control-passes", "\ue009a\ue000", "2", "\ue007")
        self.keys("#control-levels", "2,1", "\ue007")
        self.wait_for_status(lambda s: all(word in s.controls for word in ("method adain", "passes 2", "levels 2,1")))
        # What the node refuses is said in its words, and taken back.
        self.keys("#control-levels", "\ue009a\ue000", "7", "\ue007")
        wait(lambda: "levels must be some of" in self.text("#message"))
        wait(lambda: self.find("#control-levels").get_attribute("value") == "2,1")
        self.click("#reset")
        self.wait_for_status(lambda status: status.controls == "" and status.strength == 1)
        rospy.ServiceProxy(NODE + "/set_style", SetStyle)(set_strength=True, strength=0.25)
        wait(lambda: self.find("#control-strength").get_attribute("value") == "0.25")
        self.click("#reset")
        self.wait_for_status(lambda status: status.strength == 1)

    def test_every_control_has_an_editor_with_a_label_and_a_help_text(self):
        for name, control in CONTROLS.items():
            fields = [name] if name != "level_strength" else ["level-2", "level-1", "level-0"]
            for field in fields:
                described = self.script(
                    "const field = document.getElementById(`control-${arguments[0]}`);"
                    "const help = document.getElementById(field.getAttribute('aria-describedby'));"
                    "return [field.labels[0].textContent, help.textContent]",
                    field,
                )
                self.assertTrue(described[0])
                self.assertEqual(described[1], control.help)

    def test_pause_and_resume(self):
        self.click("#pause")
        self.wait_for_status(lambda status: status.state == "paused")
        wait(lambda: self.text("#notice-text") == "The stream is paused." and self.text("#pause") == "Resume")
        wait(lambda: self.script("return document.getElementById('pictures').dataset.stale") == "true")
        self.click("#pause")
        self.wait_for_status(lambda status: status.state == "ready")
        wait(lambda: not self.find("#notice").is_displayed())

    def test_a_picture_becomes_a_style(self):
        path = os.path.join(self.folder, "my own.style.png")
        picture = np.zeros((1500, 1200, 3), np.uint8)
        picture[::7], picture[:, ::5] = (250, 40, 40), (40, 40, 250)
        Picture.fromarray(picture).save(path)
        self.find("#choose").send_keys(path)
        self.wait_for_status(lambda status: status.style == "my_own_style")
        wait(lambda: "added the style my_own_style" in self.text("#message") or "my_own_style" in self.text("#message"))
        shown = (
            "const image = document.querySelector('[data-style=my_own_style] img'); return image && image.naturalWidth"
        )
        wait(lambda: self.script(shown) == 224)
        self.find("#choose").send_keys(os.path.abspath(__file__))
        wait(lambda: "cannot read the picture web_rostest" in self.text("#message"))
        self.click("[data-style=mosaic]")
        self.wait_for_status(lambda status: status.style == "mosaic")

    def test_a_snapshot_is_downloaded_and_saved(self):
        self.click("#snapshot")
        wait(lambda: self.script("return document.querySelectorAll('#pair-pictures img').length") == 2)
        sizes = """return [...document.querySelectorAll('#pair-pictures img')]
            .map((image) => [image.naturalWidth, image.naturalHeight])"""
        wait(lambda: self.script(sizes) == [[768, 576], [192, 144]])
        names = self.script("return [...document.querySelectorAll('#pair-pictures a')].map((link) => link.download)")
        self.assertRegex(names[0], r"^\d{8}_\d{6}_camera\.png$")
        self.assertRegex(names[1], r"^\d{8}_\d{6}_stylized\.png$")
        self.click("#save")
        wait(lambda: "_painted.png" in self.text("#pair-text"))
        self.assertTrue([name for name in os.listdir(self.folder) if name.endswith("_painted.png")])
        self.click("#pair-close")

    def test_a_render_runs_and_is_cancelled(self):
        def begin(size, iterations):
            for field, value in (("size", size), ("iterations", iterations), ("time", 60)):
                self.script("document.getElementById(`render-${arguments[0]}`).value = arguments[1]", field, value)
            self.click("#render-start")

        begin(128, 8)
        texts, sources = set(), set()

        def ended():
            texts.add(self.text("#render-text"))
            sources.add(self.script("return document.querySelector('#rendered img').getAttribute('src')"))
            return any("Rendered 128x96" in text for text in texts)

        wait(ended, 120)
        self.assertTrue([text for text in texts if "of 8, " in text], texts)
        self.assertTrue([source for source in sources if source and "preview" in source], "it is seen growing")
        self.assertGreater(self.script("return document.querySelector('#losses path').getAttribute('d').length"), 20)
        wait(lambda: self.script("return document.querySelector('#rendered img').naturalWidth") == 128)
        self.assertEqual(self.text("#render-size-text"), "128×96")
        connection = http.client.HTTPConnection("127.0.0.1", self.page.port)
        connection.request("GET", "/render.png")
        answer = connection.getresponse()
        self.assertEqual(Picture.open(io.BytesIO(answer.read())).size, (128, 96))
        begin(128, 100000)
        wait(lambda: "to go" in self.text("#render-text"), 120)
        self.click("#render-cancel")
        wait(lambda: "ancelled" in self.text("#render-text") and self.find("#render-start").is_enabled())

    def test_it_lives_through_the_nodes_end_and_start(self):
        self.node.kill()
        self.node.wait()
        wait(lambda: "is not running" in self.text("#notice-text") or "silent" in self.text("#notice-text"))
        self.assertFalse(self.find("#pause").is_enabled())
        wait(lambda: "roslaunch ros_style_transfer stylize.launch" in self.text("#notice-advice"))
        self.start_node()
        wait(lambda: self.text("#state") == "ready" and not self.find("#notice").is_displayed(), 90)
        shown = self.script(MEAN, "painted-picture")
        wait(lambda: self.script(MEAN, "painted-picture") != shown)
        self.click("[data-style=chalk]")
        self.wait_for_status(lambda status: status.style == "chalk")
        self.click("[data-style=mosaic]")

    def test_nothing_is_processed_while_nobody_looks(self):
        self.browser.get("about:blank")
        self.wait_for_status(lambda status: status.state == "paused")
        self.assertIn("subscribe", self.status.message.message)
        self.browser.get(self.page.link)
        self.wait_for_status(lambda status: status.state == "ready")
        wait(lambda: self.text("#state") == "ready")

    # --- how it looks --------------------------------------------------------------------------------

    def test_it_fits_a_telephone_and_a_large_screen(self):
        self.addCleanup(self.size, 1366, 800)
        wait(lambda: self.script("return document.querySelectorAll('.style').length") >= 12)
        for width, height in ((390, 844), (320, 640), (900, 700), (3840, 2160)):
            self.size(width, height, touch=width < 500)
            wait(lambda: self.script("return innerWidth") == width)
            self.assertLessEqual(self.script("return document.documentElement.scrollWidth"), width)
            for tab in ("styles", "controls", "render", "status"):
                if width < 900:
                    self.click("[data-tab=%s]" % tab)
                self.assertTrue(self.find("#" + tab).is_displayed(), (width, tab))
        self.size(390, 844, touch=True)
        self.click("[data-tab=styles]")
        small = """return [...document.querySelectorAll('#styles button, .toolbar button, #tabs button')]
            .filter((button) => button.checkVisibility() && button.offsetHeight < 38).length"""
        self.assertEqual(self.script(small), 0, "fingers hit every button")

    def test_it_can_be_read_by_everyone(self):
        self.assertEqual(self.script(NAMELESS), [])
        self.script("document.querySelectorAll('details').forEach((group) => { group.open = true; })")
        for dark in (False, True):
            self.size(1366, 800, dark=dark)
            wait(lambda: self.script("return document.documentElement.dataset.theme") == ("dark" if dark else "light"))
            time.sleep(0.3)  # of the transitions
            self.assertEqual(self.script(PALE), [])
        self.size(1366, 800)
        # Tab leads through the page, and Enter chooses a style.
        from selenium.webdriver.common.action_chains import ActionChains

        self.find("body").click()
        self.script("document.querySelector('[data-style=chalk]').focus()")
        ActionChains(self.browser).send_keys("\ue004").perform()
        self.assertEqual(self.script("return document.activeElement.dataset.style"), "cubism")
        ActionChains(self.browser).send_keys("\ue007").perform()
        self.wait_for_status(lambda status: status.style == "cubism")
        self.click("[data-style=mosaic]")

    # --- who may use it -----------------------------------------------------------------------------

    def request(self, method, path, body=None, port=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.page.port, timeout=20)
        self.addCleanup(connection.close)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.body = answer.read()
        return answer

    def test_nothing_of_the_file_system_is_served(self):
        secret = b"root:"
        for path in (
            "/../../../../etc/passwd",
            "/..%2f..%2f..%2fetc%2fpasswd",
            "/styles/..%2f..%2f..%2fetc%2fpasswd.jpg",
            "/styles/%2fetc%2fpasswd.jpg",
            "/static/../server.py",
            "/server.py",
            "/%00",
            "//etc/passwd",
            "/styles/mosaic.jpg/../../etc/passwd",
            "/render.jpg/../x",
        ):
            answer = self.request("GET", path)
            self.assertIn(answer.status, (400, 404), path)
            self.assertNotIn(secret, answer.body)
            self.assertNotIn(b"Traceback", answer.body)
        for method in ("PUT", "DELETE", "PATCH", "TRACE"):
            self.assertIn(self.request(method, "/page.js").status, (404, 405))

    def test_headers_forbid_what_the_page_does_not_need(self):
        for path in ("/", "/page.js", "/nothing", "/styles/mosaic.jpg"):
            answer = self.request("GET", path)
            self.assertIn("default-src 'none'; script-src 'self'", answer.headers["Content-Security-Policy"])
            self.assertNotIn("unsafe", answer.headers["Content-Security-Policy"])
            self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
            self.assertIn("frame-ancestors 'none'", answer.headers["Content-Security-Policy"])
            self.assertNotIn("Server", answer.headers)

    def test_foreign_pages_get_nothing(self):
        port = self.page.port
        for headers in (
            dict(Origin="http://evil.example"),
            dict(Origin="http://localhost:%d" % (port + 1)),
            dict(Host="evil.example:%d" % port),
            dict(Sec_Fetch_Site="cross-site"),
        ):
            self.assertEqual(self.request("GET", "/pair", **headers).status, 403, headers)
            self.assertEqual(self.request("POST", "/styles?name=x", b"x", **headers).status, 403, headers)
            upgrade = dict(headers, Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Version="13")
            self.assertEqual(self.request("GET", "/live", Sec_WebSocket_Key="a" * 22 + "==", **upgrade).status, 403)

    def test_uploads_are_bounded(self):
        # 100 MB announced, and 100 MB in chunks that announce nothing.
        for header in (b"Content-Length: 104857600", b"Transfer-Encoding: chunked"):
            connection = socket.create_connection(("127.0.0.1", self.page.port), timeout=20)
            self.addCleanup(connection.close)
            connection.sendall(b"POST /styles?name=big HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n\r\n")
            chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
            sent = 0
            try:
                for _ in range(100):
                    connection.sendall(chunk)
                    sent += 1
            except OSError:
                pass
            self.assertLess(sent, 60, "the server stops reading")
        # Many pixels in few bytes, and no picture at all.
        file = io.BytesIO()
        Picture.new("1", (20000, 20000)).save(file, "PNG")
        answer = self.request("POST", "/styles?name=bomb", file.getvalue())
        self.assertEqual((answer.status, json.loads(answer.body)["success"]), (422, False))
        answer = self.request("POST", "/styles?name=../../x", b"no picture")
        self.assertIn("cannot read the picture", json.loads(answer.body)["message"])
        self.assertNotIn("/tmp", json.loads(answer.body)["message"])
        try:
            self.assertEqual(self.request("POST", "/pair", b"x" * 10**6).status, 400)
        except ConnectionError:
            pass  # the server has closed the connection at once
        self.assertEqual(self.status.message.style, "mosaic")

    def test_clients_that_stall_are_cut_off_and_hold_up_nobody(self):
        """A header that never ends, a viewer that reads nothing, one that confirms nothing, one that never says bye."""
        address = ("127.0.0.1", self.page.port)
        upgrade = "GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        upgrade += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s==\r\n\r\n" % ("a" * 22)

        def frame(text):  # masked with zeros
            return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text.encode()

        look = frame(json.dumps({"do": "view", "camera": "", "both": True, "side": 2000, "visible": True}))
        header, deaf, silent, half_open = (socket.create_connection(address, timeout=40) for _ in range(4))
        for connection in (header, deaf, silent, half_open):
            self.addCleanup(connection.close)
        header.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for connection in (deaf, silent, half_open):
            connection.sendall(upgrade.encode())
        for connection in (deaf, silent):
            connection.sendall(look)
        began, frames = time.monotonic(), bytearray()
        while True:  # reads all, confirms nothing
            part = silent.recv(2**16)
            if not part:
                break
            frames += part
        self.assertLess(time.monotonic() - began, 25)
        self.assertLess(frames.count(b"\xff\xd8\xff"), 8, "only the first frames were sent, each of two pictures")
        self.assertEqual(header.recv(1000)[:12], b"")
        wait(lambda: self.script("return document.getElementById('facts').textContent").count("viewers") == 0, 30)
        shown = self.script(MEAN, "painted-picture")
        wait(lambda: self.script(MEAN, "painted-picture") != shown)

    def test_with_another_host_a_token_is_needed(self):
        fake = FakeNode("/many")
        page = Program("style_transfer:=/many", "image:=/nothing", "_host:=0.0.0.0", "_port:=0")
        self.addCleanup(page.stop)
        self.addCleanup(fake.stop)
        link = urllib.parse.urlsplit(page.link)
        token = urllib.parse.parse_qs(link.query)["token"][0]
        self.assertNotEqual(link.hostname, "0.0.0.0")
        wait(lambda: len(page.lines) > 10)  # the QR code, which test_web.py reads
        self.assertTrue(any("\u2588" in line for line in page.lines))
        cookie = "style_transfer_%d=" % page.port
        for headers in ({}, {"Cookie": cookie}, {"Cookie": cookie + "wrong"}, {"Cookie": "style_transfer_1=" + token}):
            for path in (
                "/",
                "/?token=wrong",
                "/page.js",
                "/live",
                "/pair",
                "/render.png",
                "/styles/far.jpg",
                "/nothing",
            ):
                answer = self.request("GET", path, port=page.port, **headers)
                self.assertEqual((answer.status, b"token" in answer.body), (403, True), (path, headers))
            self.assertEqual(self.request("POST", "/styles", b"x", port=page.port, **headers).status, 403)
        answer = self.request("GET", "/?token=" + token, port=page.port)
        self.assertEqual((answer.status, answer.headers["Location"]), (302, "/"))
        self.assertRegex(answer.headers["Set-Cookie"], "HttpOnly.*SameSite=Lax|SameSite=Lax.*HttpOnly")
        # In the browser: the link, two cameras, a camera without frames, and how long a frame takes.
        self.addCleanup(self.browser.get, self.page.link)
        self.browser.get("http://127.0.0.1:%d/?token=%s" % (page.port, token))
        wait(lambda: self.script("return document.getElementById('camera').options.length") == 2)
        self.assertNotIn("token", self.browser.current_url)
        pixel = (
            "return document.getElementById('painted-picture').getContext('2d').getImageData(100, 100, 1, 1).data[0]"
        )
        wait(lambda: abs(self.script(pixel) - 60) < 4)
        wait(lambda: "No camera frame arrives on /front/image." in self.text("#notice-text"))
        self.assertIn("image topics: ", self.text("#notice-advice"))
        self.script(
            "const c = document.getElementById('camera'); c.value = 'rear'; c.dispatchEvent(new Event('change'))"
        )
        wait(lambda: abs(self.script(pixel) - 180) < 4)
        self.script(RECORD)
        drawn = wait(lambda: len(self.script("return window.drawn")) > 60 and self.script("return window.drawn"))
        delays = sorted(shown - stamp for stamp, shown in drawn)
        print("delay of frames: median %.1f ms, best %.1f ms" % (1e3 * delays[len(delays) // 2], 1e3 * delays[0]))
        # A busy computer delays many of them; not all.
        self.assertLess(delays[len(delays) // 4], LATENCY)

    def test_it_lives_through_the_masters_end_and_start(self):
        from tornado.websocket import websocket_connect

        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        environment = dict(os.environ, ROS_MASTER_URI="http://localhost:%d" % port)
        publish = ["rostopic", "pub", "-r", "5", NODE + "/status", "ros_style_transfer/StyleStatus"]
        started = []

        def start(command):
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
            started.append(process)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            return process

        page = Program("_port:=0", environment=environment)  # before the master
        self.addCleanup(page.stop)
        wait(lambda: any("waiting for the ROS master" in line for line in page.lines))
        master = start(["rosmaster", "--core", "-p", str(port)])
        node = start([*publish, "{state: ready, style: first}"])

        async def check():
            connection = await websocket_connect("ws://127.0.0.1:%d/live" % page.port)
            state = {}

            async def until(condition):
                while not condition():
                    state.update(json.loads(await asyncio.wait_for(connection.read_message(), 40)))

            await until(lambda: (state.get("status") or {}).get("styles") == ["first"])
            for process in (node, master):
                process.kill()
                process.wait()
            await until(lambda: "does not answer" in ((state.get("notices") or {}).get("") or {"text": ""})["text"])
            start(["rosmaster", "--core", "-p", str(port)])
            start([*publish, "{state: ready, style: second}"])
            await until(lambda: (state.get("status") or {}).get("styles") == ["second"])
            connection.close()

        asyncio.get_event_loop_policy().new_event_loop().run_until_complete(check())

    def test_wrong_parameters_are_said_in_one_line(self):
        wrong = {
            "_port:=99999": "~port must be a whole number from 0 to 65535, not 99999",
            "_port:=%d" % self.page.port: "choose others with _host:= and _port:=",
            "_token:=short": "~token must have at least 16 characters",
        }
        for program, said in [(Program(argument), said) for argument, said in wrong.items()]:
            self.assertEqual(program.process.wait(60), 1)
            wait(lambda program=program, said=said: any(said in line for line in program.lines))
            self.assertFalse(any("Traceback" in line for line in program.lines))


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    rostest.rosrun("ros_style_transfer", "web", WebTest)
