"""The web page's server: who may use it, what may be asked for, how fast frames go out, and that viewers share work."""

import asyncio
import io
import json
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image as Picture

pytest.importorskip("sensor_msgs", reason="ROS is not installed")

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from ros_style_transfer.controls import CONTROLS
from ros_style_transfer.errors import ImageError, OptionError
from ros_style_transfer.ros import conversions
from ros_style_transfer.ros.web import frames, requests
from ros_style_transfer.ros.web.access import Access, is_loopback, new_token
from ros_style_transfer.ros.web.frames import CAMERA, PAINTED, Feed
from ros_style_transfer.ros.web.pace import FIRST, RUNGS, WINDOW, Pace, rung_for
from ros_style_transfer.ros.web.table import describe_controls

# --- access ---------------------------------------------------------------------------------------


def refusal(access, token="", is_page=False, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return access.refusal(dict({"Host": "localhost:8090"}, **named), token, is_page)


@pytest.mark.parametrize("host, only_here", [("127.0.0.1", True), ("::1", True), ("localhost", True)])
def test_addresses_of_this_computer_need_no_token(host, only_here):
    assert is_loopback(host)
    for other in ("0.0.0.0", "::", "192.168.1.5", "robot.local", ""):
        assert not is_loopback(other)


def test_every_request_needs_the_token():
    access = Access(new_token())
    assert len(access.token) >= 24 and new_token() != access.token
    assert refusal(access, access.token) is None
    for wrong in ("", "x", access.token[:-1], access.token + "x", access.token.swapcase(), "\udcff"):
        assert "token" in refusal(access, wrong)
        assert "token" in refusal(access, wrong, is_page=True)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:1", "https://localhost.evil:8090", "null", ""]
)
def test_a_foreign_origin_is_refused(origin):
    for access in (Access(), Access("a token of ours")):
        assert "origin" in refusal(access, access.token, Origin=origin)
        assert refusal(access, access.token, Origin="http://localhost:8090") is None


def test_another_site_may_link_to_the_page_but_embed_nothing():
    assert "site" in refusal(Access(), Sec_Fetch_Site="cross-site")
    assert "site" in refusal(Access(), Sec_Fetch_Site="same-site")
    assert refusal(Access(), is_page=True, Sec_Fetch_Site="cross-site") is None
    assert refusal(Access(), Sec_Fetch_Site="same-origin") is None


def test_a_name_that_leads_here_is_not_this_computer():
    """DNS rebinding: a page of evil.example whose name resolves to 127.0.0.1."""
    assert "evil.example" in refusal(Access(), Host="evil.example:8090", is_page=True)
    for host in ("127.0.0.1:8090", "localhost", "[::1]:8090"):
        assert refusal(Access(), Host=host) is None


# --- requests -------------------------------------------------------------------------------------

STYLES = {"mosaic": "/styles/mosaic.jpg", "chalk": "/styles/chalk.jpg"}


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '{"do": 1}', "{}", "[" * 20000, b"\xff", None])
def test_only_objects_with_a_name_are_requests(text):
    with pytest.raises(OptionError):
        requests.parse(text)
    assert requests.parse('{"do": "save"}') == {"do": "save"}


def change(**wanted):
    return requests.parse_change({"wanted": wanted}, STYLES)


def test_a_change_is_passed_on():
    wanted = dict(
        styles=["mosaic", "chalk"], weights=[1, 0.5], fade=2, strength=0.5, method="adain", levels="", passes=2
    )
    assert change(**wanted) == dict(wanted, fade=2.0, passes="2")
    assert change(mask="none", max_side=320) == {"mask": "none", "max_side": "320"}
    for reserved in ("random", "camera"):
        assert change(styles=[reserved])["styles"] == [reserved]


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"styles": []},
        {"styles": "mosaic"},
        {"styles": ["/etc/passwd"]},
        {"styles": ["../styles/mosaic.jpg"]},
        {"styles": ["/styles/mosaic.jpg"]},
        {"styles": [["mosaic"]]},
        {"styles": ["mosaic"] * 1000},
        {"weights": [float("nan")]},
        {"weights": [-1]},
        {"weights": "1"},
        {"fade": 1e9},
        {"fade": True},
        {"strength": 2},
        {"strength": "1"},
        {"mask": "/etc/passwd"},
        {"mask": ["none"]},
        {"output_dir": "/"},
        {"passes": [1]},
        {"passes": float("inf")},
        {"levels": "1," * 1000},
    ],
)
def test_a_change_that_makes_no_sense_is_refused(wanted):
    with pytest.raises(OptionError):
        change(**wanted)


@pytest.mark.parametrize("goal", [{"size": 10**6}, {"size": "512"}, {"size": 512, "iterations": -1}, {}])
def test_a_render_has_bounds(goal):
    with pytest.raises(OptionError):
        requests.parse_goal(goal)


def test_a_render_names_no_file():
    goal = requests.parse_goal({"size": 512, "iterations": 3, "time_budget": 5, "save_as": "x.png", "styles": ["/etc"]})
    assert set(goal) == {"size", "iterations", "time_budget", "preview_every"}


def test_a_view_is_of_a_known_camera():
    view = requests.parse_view({"camera": "rear", "side": 800, "both": True, "visible": True}, ["front", "rear"])
    assert view == ("rear", True, 800.0, True)
    for wrong in ({"camera": "../front"}, {"camera": ["front"]}, {"camera": "front", "side": float("nan")}, {}):
        with pytest.raises(OptionError):
            requests.parse_view(wrong, ["front", "rear"])


def picture(width, height, file_format="PNG"):
    file = io.BytesIO()
    Picture.new("1", (width, height)).save(file, file_format)
    return file.getvalue()


def test_an_upload_is_a_picture_with_bounded_pixels():
    requests.check_upload(picture(300, 200), "fine")
    with pytest.raises(ImageError, match="64 million pixels|bomb|memory"):
        requests.check_upload(picture(20000, 20000), "huge")  # 50 kB
    for wrong in (b"", b"GIF89a", b"<svg/>", b"\0" * 1000):
        with pytest.raises(ImageError):
            requests.check_upload(wrong, "wrong")


# --- the table ------------------------------------------------------------------------------------


def test_the_page_gets_every_live_control():
    table = [control for group in describe_controls() for control in group["controls"]]
    assert {control["name"] for control in table} == {"max_side", *(n for n, row in CONTROLS.items() if row.live)}
    kinds = {control["name"]: control["kind"] for control in table}
    assert (kinds["strength"], kinds["passes"], kinds["feather"], kinds["method"], kinds["levels"]) == (
        "slider",
        "integer",
        "decimal",
        "choice",
        "text",
    )
    assert kinds["level_strength"] == "levels"
    json.dumps(table)


# --- pace -----------------------------------------------------------------------------------------


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def play(pace, clock, count, delay, start=0):
    """Send and confirm frames that take ``delay`` seconds each."""
    for number in range(start, start + count):
        pace.sent(number)
        clock.now += delay
        pace.confirmed(number)


def test_few_frames_are_on_their_way():
    pace = Pace(Clock())
    for number in range(WINDOW):
        assert pace.is_open
        pace.sent(number)
    assert not pace.is_open
    pace.confirmed(99)  # was never sent
    assert not pace.is_open
    pace.confirmed(0)
    assert pace.is_open


def test_frames_grow_on_a_fast_connection_up_to_what_the_screen_shows():
    clock = Clock()
    pace = Pace(clock)
    pace.top = rung_for(1200)
    assert RUNGS[pace.top].side == 1280
    play(pace, clock, 400, 0.03)
    assert pace.rung == pace.top
    pace.top = 1
    assert pace.rung == 1, "a telephone needs less"


def test_frames_shrink_on_a_slow_connection_and_stay_small():
    clock = Clock()
    pace = Pace(clock)
    play(pace, clock, 3, 0.02)
    play(pace, clock, 6, 0.5, 3)
    assert pace.rung == FIRST - 2
    play(pace, clock, 40, 0.02, 9)
    assert pace.rung == FIRST - 2, "it does not try again at once"
    play(pace, clock, 600, 0.02, 49)
    assert pace.rung == FIRST


def test_a_long_way_is_no_slow_connection():
    clock = Clock()
    pace = Pace(clock)
    play(pace, clock, 100, 0.6)  # such as over a satellite
    assert pace.rung == FIRST


# --- frames ---------------------------------------------------------------------------------------


def message(stamp, value=0, width=64, height=48):
    header = Header()
    header.stamp.secs = stamp
    return conversions.to_message(np.full((height, width, 3), value, np.uint8), header)


class Play:
    """A feed in an event loop, with a clock that the test sets."""

    def __init__(self):
        self.clock = Clock()
        self.executor = ThreadPoolExecutor(2)

    async def feed(self):
        return Feed(self.executor, self.clock)


def test_a_painted_frame_is_shown_with_the_frame_it_was_made_from():
    async def check():
        play = Play()
        feed = await play.feed()
        for stamp in (1, 2, 3, 4):
            feed.put_camera(message(stamp, stamp))
        assert set(feed.newest.messages) == {CAMERA}, "nothing is painted: the camera's frames are shown"
        feed.put_painted(message(2, 99))
        assert {kind: shown.header.stamp.secs for kind, shown in feed.newest.messages.items()} == {
            CAMERA: 2,
            PAINTED: 2,
        }
        number = feed.newest.number
        feed.put_camera(message(5))
        assert feed.newest.number == number, "painted frames set the pace"
        play.clock.now += 2
        feed.put_camera(message(6))
        assert set(feed.newest.messages) == {CAMERA}, "painting has stopped"
        feed.put_painted(message(1, 99))
        assert feed.newest.messages[CAMERA].header.stamp.secs == 6, "its frame is gone: the newest one instead"

    asyncio.run(check())


def test_frames_that_wait_are_bounded():
    async def check():
        feed = await Play().feed()
        for stamp in range(1, 200):
            feed.put_camera(message(stamp))
        assert len(feed._kept) == frames.MAX_KEPT
        large = Image(data=bytes(2**25), width=1, height=1)
        for _ in range(10):
            feed.put_camera(large)
        assert sum(len(kept.data) for kept in feed._kept) <= frames.MAX_KEPT_BYTES

    asyncio.run(check())


def test_ten_viewers_cost_one_encoding_per_size(monkeypatch):
    encoded = []
    encode = frames.encode_jpeg
    monkeypatch.setattr(frames, "encode_jpeg", lambda rgb, *rung: encoded.append(rung) or encode(rgb, *rung))

    async def look(feed, rung, seen):
        number = 0
        for _ in range(3):
            frame = await feed.newer_than(number)
            number = frame.number
            seen.append((number, rung, await frame.jpeg(PAINTED, rung)))

    async def check():
        feed, seen = await Play().feed(), []
        small, large = rung_for(240), rung_for(640)
        viewers = [asyncio.ensure_future(look(feed, rung, seen)) for rung in [small] * 5 + [large] * 5]
        for stamp in (1, 2, 3):
            feed.put_painted(message(stamp, 50 * stamp, 640, 480))
            while len(seen) < 10 * stamp:
                await asyncio.sleep(0.01)
        await asyncio.gather(*viewers)
        assert len(seen) == 30
        assert sorted(encoded) == sorted([tuple(RUNGS[small])] * 3 + [tuple(RUNGS[large])] * 3)
        sizes = {rung: Picture.open(io.BytesIO(data)).size for _, rung, data in seen}
        assert sizes == {small: (240, 180), large: (640, 480)}

    asyncio.run(check())


def test_a_viewer_that_leaves_takes_nothing_from_the_others():
    async def check():
        feed = await Play().feed()
        feed.put_painted(message(1, 10, 640, 480))
        frame = feed.newest
        leaving, staying = (asyncio.ensure_future(frame.jpeg(PAINTED, FIRST)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await staying).startswith(b"\xff\xd8")

    asyncio.run(check())


def test_a_slow_viewer_gets_the_newest_frame_and_no_queue():
    async def check():
        feed = await Play().feed()
        for stamp in range(1, 100):
            feed.put_painted(message(stamp))
        frame = await feed.newer_than(0)
        assert frame.messages[PAINTED].header.stamp.secs == 99
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(feed.newer_than(frame.number), 0.05)

    asyncio.run(check())


def test_a_picture_is_never_enlarged_and_png_is_lossless():
    async def check():
        feed = await Play().feed()
        noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
        feed.put_painted(conversions.to_message(noise, Header()))
        jpeg = await feed.newest.jpeg(PAINTED, len(RUNGS) - 1)
        assert Picture.open(io.BytesIO(jpeg)).size == (40, 30)
        assert np.array_equal(np.array(Picture.open(io.BytesIO(await feed.newest.png(PAINTED)))), noise)
        feed.put_painted(Image(encoding="nonsense", width=1, height=1))
        with pytest.raises(ImageError):
            await feed.newest.jpeg(PAINTED, 0)

    asyncio.run(check())


# --- what needs the server's library --------------------------------------------------------------


def test_a_binary_message_holds_its_pictures():
    server = pytest.importorskip("ros_style_transfer.ros.web.server", reason="needs tornado and the built messages")
    packed = server.pack({"number": 7}, {"camera": b"abc", "painted": b"defgh"})
    (length,) = struct.unpack(">I", packed[:4])
    assert json.loads(packed[4 : 4 + length]) == {"number": 7, "pictures": [["camera", 3], ["painted", 5]]}
    assert packed[4 + length :] == b"abcdefgh"


def test_a_qr_code_can_be_read():
    main = pytest.importorskip("ros_style_transfer.ros.web.main", reason="needs tornado and the built messages")
    cv2 = pytest.importorskip("cv2")
    link = main.link(main.Options("192.168.1.20", 8090, new_token()), 8090)
    lines = main.draw_qr_code(link)
    halves = {"\u2588": (255, 255), "\u2580": (255, 0), "\u2584": (0, 255), " ": (0, 0)}
    rows = [[halves[block][half] for block in line] for line in lines for half in (0, 1)]
    enlarged = np.kron(np.array(rows, np.uint8), np.ones((8, 8), np.uint8))
    assert cv2.QRCodeDetector().detectAndDecode(enlarged)[0] == link
