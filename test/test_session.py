"""A whole live stream without middleware: plain Python callbacks, the real model, small frames."""

import os
import threading
import time

import numpy as np
import pytest
from conftest import draw_scene

from ros_style_transfer.controls import Controls, controls_from
from ros_style_transfer.errors import ImageError, OptionError, StyleError
from ros_style_transfer.media import images
from ros_style_transfer.media.style_library import StyleLibrary
from ros_style_transfer.streaming import session as sessions
from ros_style_transfer.streaming import worker
from ros_style_transfer.streaming.appearance import AppearanceChange
from ros_style_transfer.streaming.event_log import RepeatFilter
from ros_style_transfer.streaming.session import (
    ERROR,
    LOADING,
    PAUSED,
    READY,
    SessionOptions,
    StreamSession,
    StyleTopic,
)
from ros_style_transfer.streaming.stream import StreamCallbacks
from ros_style_transfer.stylizer import Stylizer

LIBRARY = StyleLibrary()
SCENE = draw_scene(64, 48)
OTHER = draw_scene(64, 48, seed=3)
OPTIONS = SessionOptions(styles=("mosaic",), model="lite", precision="float32")


class Clock:
    """Monotonic seconds that a test can move on."""

    ahead = 0.0

    def __call__(self):
        return time.monotonic() + self.ahead


class Middleware:
    """A session with one stream, connected by functions alone: messages are ``(number, picture)``.

    Attributes:
        published: ``{number: painted picture}``.
    """

    def __init__(self, options=OPTIONS, **changes):
        self.published, self.fatal, self.changes = {}, [], 0
        self._came, self._number = threading.Condition(), 0
        self.clock = Clock()
        self.broken = None  # an exception that reporting raises
        self.session = StreamSession(
            options,
            StyleTopic("style topic", lambda: "not published"),
            self._on_change,
            self.fatal.append,
            clock=self.clock,
        )
        self.stream = self.session.add_stream(
            "front",
            StreamCallbacks(
                **dict(
                    dict(
                        publish=self._publish,
                        decode=lambda message: message[1],
                        encode=lambda painted, message: (message[0], painted),
                        explain_silence=lambda: "publishers: none",
                    ),
                    **changes,
                )
            ),
            "camera topic",
            "output topic",
        )

    def _on_change(self):
        self.changes += 1
        if self.broken is not None:
            raise self.broken

    def _publish(self, encoded, message, scale):
        with self._came:
            self.published[encoded[0]] = encoded[1]
            self.scale = scale
            self._came.notify_all()

    def __enter__(self):
        self.session.start()
        self.wait_until(lambda: self.status.state != LOADING, 60)
        return self

    def __exit__(self, *_):
        self.session.shutdown(10)

    @property
    def status(self):
        return self.session.status()

    def wait_until(self, condition, timeout=20.0):
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, self.status
            time.sleep(0.01)

    def send(self, picture=SCENE, mask=None):
        """A frame; its number."""
        self._number += 1
        self.stream.put((self._number, picture), mask)
        return self._number

    def paint(self, picture=SCENE, mask=None):
        """What becomes of a frame."""
        number = self.send(picture, mask)
        with self._came:
            assert self._came.wait_for(lambda: number in self.published, 20), self.status
            return self.published[number]

    def fail(self, picture):
        """Send a frame that cannot be painted."""
        failed = self.status.summary.failed
        self.send(picture)
        self.wait_until(lambda: self.status.summary.failed == failed + 1)

    def change(self, **wanted):
        return self.session.change(lambda appearance: AppearanceChange(**wanted))


@pytest.fixture(scope="module")
def loaded():
    """The model that all sessions of this file paint with, one after the other: loading takes its time."""
    return Stylizer("lite")


@pytest.fixture(autouse=True)
def load_once(monkeypatch, loaded):
    load = lambda model, precision, weights_dir=None, **rest: (
        Stylizer(model, precision, weights_dir, **rest) if weights_dir else loaded
    )
    monkeypatch.setattr("ros_style_transfer.stylizer.Stylizer", load)


@pytest.fixture
def stream():
    with Middleware() as middleware:
        middleware.stream.open()
        yield middleware


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer("lite")


def expected(stylizer, *styles, weights=None, picture=SCENE, controls=None, mask=None):
    """What the same request paints without a stream."""
    stylizer.set_styles([LIBRARY.read(style) for style in styles], weights)
    return stylizer.stylize(picture, controls or Controls(), mask)


def assert_alike(painted, wanted):
    assert painted.shape == wanted.shape
    assert np.abs(painted.astype(int) - wanted).max() <= 1


def test_a_whole_stream(stream, stylizer, tmp_path):
    """Frames in, painted frames out; a change, a refusal, a bad frame, a pause and a saved picture between them."""
    plain = stream.paint()
    assert_alike(plain, expected(stylizer, "mosaic"))
    assert stream.scale == (1.0, 1.0)
    assert (stream.status.state, stream.status.appearance.styles) == (READY, ("mosaic",))

    answer = stream.change(styles=["woodcut", "cubism"], weights=[3, 1], controls=Controls(strength=0.5))
    assert answer == (True, "style woodcut 3, cubism 1, strength 0.5")
    assert_alike(
        stream.paint(), expected(stylizer, "woodcut", "cubism", weights=[3, 1], controls=Controls(strength=0.5))
    )

    answer = stream.change(styles=["nope"])
    assert not answer.success and "unknown style 'nope'" in answer.message
    assert stream.status.appearance.styles == ("woodcut", "cubism")

    stream.fail(np.zeros((4, 4), np.uint8))
    assert stream.status.state == ERROR
    assert "a picture must be uint8" in stream.status.message and "a picture" in stream.status.last_error
    assert stream.change(styles=["mosaic"], controls=Controls()).success
    assert_alike(stream.paint(), plain)
    assert (stream.status.state, stream.status.summary.failed) == (READY, 1)

    assert stream.session.set_paused(True) == (True, "paused on request")
    assert stream.status.state == PAUSED and "paused on request" in stream.status.message
    number = stream.send()
    time.sleep(0.3)
    assert number not in stream.published
    (saved,) = stream.session.save(str(tmp_path))
    np.testing.assert_array_equal(images.read(saved.path), plain)
    np.testing.assert_array_equal(images.read(saved.path.replace("_painted", "_content")), SCENE)
    assert saved.is_current and saved.style == "mosaic" and saved.age < 5
    stream.session.set_paused(False)
    assert_alike(stream.paint(OTHER), expected(stylizer, "mosaic", picture=OTHER))


def test_frames_are_scaled_to_the_largest_side(stream):
    assert stream.change(max_side=32).success
    assert stream.paint().shape == (24, 32, 3)
    assert stream.scale == (0.5, 0.5)


def test_controls_are_changed_from_those_in_force(stream):
    for values in ({"passes": "2"}, {"strength": 0.5}):
        assert stream.session.change(
            lambda appearance, values=values: AppearanceChange(controls=controls_from(values, appearance.controls))
        ).success
    assert stream.status.appearance.controls == Controls(passes=2, strength=0.5)


def test_a_fade_takes_its_time(stream):
    before = stream.paint()
    assert stream.change(styles=["woodcut"], fade=30.0).success
    assert np.abs(stream.paint().astype(int) - before).mean() < 3
    assert stream.change(styles=["woodcut"]).success, "at once"
    assert np.abs(stream.paint().astype(int) - before).mean() > 10


# --- styles that arrive -----------------------------------------------------------------------------


def in_background(action):
    """Do ``action`` in a thread; a function that waits for what it returns."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(action()), daemon=True)
    thread.start()

    def wait():
        thread.join(20)
        return answers[0]

    return wait


def test_the_next_frame_becomes_the_style(stream, stylizer):
    answer = in_background(lambda: stream.change(styles=["camera"]))
    stream.wait_until(lambda: stream.session.wants_frames(has_listeners=False))
    first = stream.paint(OTHER)
    assert answer().success and stream.status.appearance.styles == ("camera",)
    stylizer.set_style(OTHER)
    assert_alike(first, stylizer.stylize(OTHER))
    assert_alike(stream.paint(), stylizer.stylize(SCENE))
    assert not stream.session.wants_frames(has_listeners=False)


@pytest.mark.parametrize(
    "style, message",
    [
        ("camera", "the style was not set: no frame on camera topic for 5 s (publishers: none)"),
        ("topic", "the style was not set: no frame on style topic for 5 s (not published)"),
    ],
)
def test_a_style_that_never_arrives_is_refused(stream, style, message):
    answer = in_background(lambda: stream.change(styles=[style]))
    stream.wait_until(lambda: stream.session._worker.pending_styles())
    stream.clock.ahead += 6
    assert answer() == (False, message)
    assert stream.status.appearance.styles == ("mosaic",)


def test_a_topic_is_the_style_and_may_change(stream, stylizer):
    answer = in_background(lambda: stream.change(styles=["topic"]))
    stream.wait_until(stream.session.wants_style_images)
    for name in ("woodcut", "cubism"):
        stream.clock.ahead += 2  # pictures are taken once a second, and faded in within one
        stream.session.offer_style_image(lambda name=name: LIBRARY.read(name))
        stylizer.set_style(LIBRARY.read(name))
        wanted = stylizer.stylize(SCENE)
        assert answer().success
        stream.wait_until(lambda: np.abs(stream.paint().astype(int) - wanted).max() <= 1)


def test_a_style_image_that_cannot_be_read_costs_only_itself(stream, stylizer):
    answer = in_background(lambda: stream.change(styles=["topic"]))
    stream.wait_until(stream.session.wants_style_images)
    stream.session.offer_style_image(lambda: LIBRARY.read("woodcut"))
    assert answer().success

    def read():
        raise ImageError("it is broken")

    stream.clock.ahead += 2
    stream.session.offer_style_image(read)
    stream.wait_until(lambda: "style topic cannot be the style: it is broken" in stream.status.message)
    assert_alike(stream.paint(), expected(stylizer, "woodcut"))


def test_a_first_style_from_the_camera_needs_no_request(stylizer):
    with Middleware(OPTIONS._replace(styles=("camera",))) as stream:
        stream.stream.open()
        stylizer.set_style(OTHER)
        assert_alike(stream.paint(OTHER), stylizer.stylize(OTHER))
        assert_alike(stream.paint(), stylizer.stylize(SCENE))


def test_random_is_a_known_style(stream):
    assert stream.change(styles=["random"]).success
    assert stream.status.appearance.styles[0] in LIBRARY.paths()
    assert stream.session.resolve_styles([]) == stream.status.appearance.styles
    assert stream.session.resolve_styles(["random"])[0] in LIBRARY.paths()


def test_an_added_style_is_known_until_the_end(stream, stylizer):
    stream.session.add_style("mine", OTHER)
    assert not stream.session.uses_added_style()
    assert stream.change(styles=["mine"]).success and stream.session.uses_added_style()
    stylizer.set_style(OTHER)
    assert_alike(stream.paint(), stylizer.stylize(SCENE))
    for name in ("../out", "", "camera", "a" * 65):
        with pytest.raises(OptionError, match="letters, digits"):
            stream.session.add_style(name, OTHER)
    path = stream.session.library.find("mine")
    stream.session.shutdown(10)
    assert not os.path.exists(path)


# --- masks ------------------------------------------------------------------------------------------


@pytest.fixture
def masked(tmp_path):
    """A stream whose library has the masks ``left`` (4:3) and ``tall`` (3:4)."""
    left = np.zeros((48, 64), np.uint8)
    left[:, :32] = 1
    images.Image.fromarray(left).save(str(tmp_path / "left.png"))
    images.Image.fromarray(left.T).save(str(tmp_path / "tall.png"))
    with Middleware(OPTIONS._replace(style_dirs=(str(tmp_path),))) as middleware:
        middleware.stream.open()
        middleware.left = left
        yield middleware


def test_a_mask_that_does_not_fit_is_refused_if_the_frames_are_known(masked, stylizer):
    assert_alike(masked.paint(), expected(stylizer, "mosaic"))
    answer = masked.change(mask="tall")
    assert not answer.success
    assert "does not fit the frames of camera topic" in answer.message and "48x64" in answer.message
    assert masked.status.appearance.mask == ""
    assert masked.change(mask="left").success
    assert_alike(masked.paint(), expected(stylizer, "mosaic", mask=masked.left))
    assert masked.status.state == READY


def test_frames_that_a_mask_does_not_fit_are_painted_whole_with_a_message(masked, stylizer):
    assert masked.change(mask="tall").success, "the size of the frames is unknown yet"
    assert_alike(masked.paint(), expected(stylizer, "mosaic"))
    status = masked.status
    assert "does not fit the frames of camera topic, which are painted whole" in status.message
    assert (status.state, status.summary.failed) == (READY, 0)
    tall = np.ascontiguousarray(SCENE[:, :36])
    assert_alike(masked.paint(tall), expected(stylizer, "mosaic", picture=tall, mask=masked.left.T))
    assert "painted whole" not in masked.status.message


def test_masks_that_come_with_the_frames(masked, stylizer):
    assert masked.change(mask="topic").success and masked.session.wants_masks()
    assert_alike(masked.paint(mask=masked.left), expected(stylizer, "mosaic", mask=masked.left))
    assert_alike(masked.paint(), expected(stylizer, "mosaic"))
    assert "no mask matched the frames of camera topic" in masked.status.message
    assert_alike(masked.paint(mask=masked.left.T.copy()), expected(stylizer, "mosaic"))
    assert "the mask does not fit" in masked.status.message
    assert_alike(masked.paint(mask=masked.left), expected(stylizer, "mosaic", mask=masked.left))
    assert "mask" not in masked.status.message.replace("masked", "")
    assert masked.change(mask="none").success


# --- what is wrong, and for how long ------------------------------------------------------------------


def test_silence_is_reported_as_long_as_it_lasts(stream, caplog):
    stream.paint()
    for _ in range(3):
        stream.clock.ahead += 6
        stream.session.check_streams()
        assert stream.change(styles=["mosaic"]).success, "another event does not hide it"
        assert "no frame on camera topic for 5 s (publishers: none)" in stream.status.message
    assert [record.message for record in caplog.records].count(
        "no frame on camera topic for 5 s (publishers: none)"
    ) == 1, "the log says it once a minute"
    stream.clock.ahead += 60
    stream.session.check_streams()
    assert [record.message for record in caplog.records].count(
        "no frame on camera topic for 5 s (publishers: none)"
    ) == 2
    stream.paint()
    assert "no frame" not in stream.status.message


def test_silence_is_reported_while_the_model_loads():
    middleware = Middleware()
    middleware.stream.open()
    middleware.clock.ahead += 6
    middleware.session.check_streams()
    assert middleware.status.state == LOADING
    assert "no frame on camera topic" in middleware.status.message and "loading lite" in middleware.status.message
    with middleware:
        assert "no frame on camera topic" in middleware.status.message, "loaded, and still no frame"


def test_a_stream_without_listeners_tells_why_it_rests(stream):
    stream.stream.close()
    assert stream.status.state == PAUSED
    assert "resting: nothing subscribes to output topic" in stream.status.message
    stream.session.set_paused(True)
    assert "resting" not in stream.status.message and "paused on request" in stream.status.message


def test_a_saved_picture_that_is_not_what_the_stream_shows_tells_its_age_and_style(stream, tmp_path):
    with pytest.raises(StyleError, match="no frame was painted yet; does anything subscribe to output topic"):
        stream.session.save(str(tmp_path))
    stream.paint()
    stream.clock.ahead += 63
    (old,) = stream.session.save(str(tmp_path))
    assert not old.is_current and "painted 63." in str(old) and str(old).endswith("ago in the style mosaic)")
    stream.paint()
    assert stream.change(styles=["woodcut"]).success
    (other,) = stream.session.save(str(tmp_path))
    assert not other.is_current and other.style == "mosaic"
    stream.paint()
    stream.fail(None)
    (failing,) = stream.session.save(str(tmp_path))
    assert not failing.is_current
    stream.paint()
    assert stream.session.save(str(tmp_path))[0].is_current
    with pytest.raises(ImageError, match="nothing can be saved: a setting is not set"):
        stream.session.save("", "a setting")


def test_a_request_gives_up_and_is_not_applied_later(monkeypatch):
    monkeypatch.setattr(sessions, "REQUEST_TIMEOUT", 0.05)
    middleware = Middleware()
    assert middleware.change(styles=["woodcut"]) == (False, "the style was not set within 0.05 s (state: loading)")
    with middleware:
        assert middleware.status.appearance.styles == ("mosaic",)


def test_a_model_that_cannot_be_loaded_is_a_state_that_refuses(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with Middleware(OPTIONS._replace(weights_dir=str(tmp_path))) as middleware:
        assert middleware.status.state == ERROR
        assert "cannot load lite" in middleware.status.message
        middleware.session.set_paused(True)
        assert "cannot load lite" in middleware.status.message, "another event does not hide it"
        answer = middleware.change(styles=["woodcut"])
        assert not answer.success and "cannot load lite" in answer.message


def test_a_wrong_option_leaves_no_folder_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(StyleError, match="unknown style"):
        StreamSession(OPTIONS._replace(styles=("nope",)))
    assert not list(tmp_path.iterdir())


# --- the net under the worker -------------------------------------------------------------------------


def test_reporting_that_fails_stops_nothing(stream, stylizer):
    stream.broken = OverflowError("float too large to pack")
    assert stream.change(styles=["woodcut"]).success
    assert_alike(stream.paint(), expected(stylizer, "woodcut"))
    assert not stream.fatal


def test_an_error_of_the_worker_is_reported_and_the_stream_goes_on(stream, stylizer, monkeypatch, caplog):
    stream.paint()
    work, failures = stream.session._worker._expire_pending_request, [ValueError("a mistake of ours")]

    def fail_once():
        if failures:
            raise failures.pop()
        work()

    monkeypatch.setattr(stream.session._worker, "_expire_pending_request", fail_once)
    stream.wait_until(lambda: stream.status.state == ERROR)
    assert "the worker failed: ValueError('a mistake of ours')" in stream.status.message
    assert "a mistake of ours" in caplog.text
    assert_alike(stream.paint(OTHER), expected(stylizer, "mosaic", picture=OTHER))
    assert stream.status.state == READY and not stream.fatal


@pytest.mark.parametrize("error", [ValueError("always"), SystemExit("at once")])
def test_a_worker_that_cannot_go_on_ends_the_program(stream, monkeypatch, error):
    monkeypatch.setattr(worker, "MAX_FAILURES", 3)

    def fail(stylizer):
        raise error

    monkeypatch.setattr(stream.session._worker, "_work", fail)
    stream.wait_until(lambda: stream.fatal)
    assert "the worker ended" in stream.fatal[0] and stream.status.state == ERROR
    assert "the worker ended" in stream.change(styles=["woodcut"]).message


def test_requests_are_answered_whatever_goes_wrong(stream, monkeypatch):
    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(stream.session._worker, "_put_in_force", fail)
    assert stream.change(styles=["woodcut"]) == (False, "the style cannot be set: no room")
    answer = stream.session.change(lambda appearance: 1 / 0)
    assert not answer.success and "division by zero" in answer.message


def test_a_repeated_message_is_let_through_once_a_period():
    clock = Clock()
    repeats = RepeatFilter(clock)
    assert repeats.is_due("a", "wrong", 10)
    assert not repeats.is_due("a", "wrong", 10)
    assert repeats.is_due("b", "wrong", 10)
    assert repeats.is_due("a", "worse", 10)
    clock.ahead = 11
    assert repeats.is_due("a", "worse", 10)


def moved(mean_change):
    """`SCENE` with this mean change of its values, as a brighter or darker square."""
    changed = SCENE.copy()
    changed[:24, :32] = np.where(SCENE[:24, :32] < 128, 255, 0)
    whole = np.abs(changed.astype(float) - SCENE).mean() / 255
    assert whole > mean_change
    rows = max(1, round(24 * mean_change / whole))
    changed[rows:] = SCENE[rows:]
    return changed


def test_a_still_scene_is_published_again_under_its_own_header(stream):
    plain = stream.paint()
    assert stream.status.summary.skipped == 0
    stream.change(controls=Controls(skip_still=0.05))
    first = stream.paint()
    assert_alike(first, plain)
    for _ in range(3):
        assert np.array_equal(stream.paint(moved(0.02)), first), "each has its own number"
    assert stream.status.summary.skipped == 3 and stream.status.state == READY

    other = stream.paint(moved(0.1))
    assert not np.array_equal(other, first) and stream.status.summary.skipped == 3
    assert np.array_equal(stream.paint(moved(0.1)), other), "compared with the last painted frame"


def test_a_slow_change_adds_up(stream):
    stream.change(controls=Controls(skip_still=0.05))
    paintings = {stream.paint(np.full_like(SCENE, grey)).tobytes() for grey in range(100, 130, 3)}  # 0.012 each
    assert len(paintings) == 2 and stream.status.summary.skipped == 8, "the sixth differs from the first by 0.06"


def test_a_still_scene_shows_every_change_of_its_look(stream):
    stream.change(controls=Controls(skip_still=0.5))
    mosaic = stream.paint()
    assert stream.change(styles=["woodcut"]).success
    woodcut = stream.paint()
    assert not np.array_equal(woodcut, mosaic)
    assert stream.change(styles=["mosaic"], fade=2.0).success
    stream.clock.ahead += 1.0  # half of the fade by the session's clock
    stream.paint()
    stream.paint()
    assert stream.status.summary.skipped == 0, "the picture changes while the scene stands still"
    stream.clock.ahead += 2.0
    last = stream.paint()
    assert np.array_equal(stream.paint(), last) and stream.status.summary.skipped == 1
    assert not np.array_equal(stream.paint(SCENE[:32]), last), "another size"
    assert stream.change(controls=Controls()).success
    stream.paint(SCENE[:32])
    assert stream.status.summary.skipped == 1, "switched off"


def test_a_still_scene_shows_every_change_of_its_mask():
    whole, none = np.full((48, 64), 1, np.uint8), np.zeros((48, 64), np.uint8)
    options = OPTIONS._replace(mask="topic", controls=Controls(skip_still=0.5))
    with Middleware(options, decode_mask=lambda message: message) as stream:
        stream.stream.open()
        painted = stream.paint(mask=whole)
        assert np.array_equal(stream.paint(mask=whole.copy()), painted)
        assert stream.status.summary.skipped == 1
        assert np.array_equal(stream.paint(mask=none), SCENE)
        assert stream.status.summary.skipped == 1


def test_the_memory_of_a_large_frame_is_released_when_frames_are_small_again(stream, monkeypatch):
    released = []
    monkeypatch.setattr("ros_style_transfer.resources.release_memory", lambda: released.append(1))
    large = np.repeat(np.repeat(SCENE, 20, 0), 20, 1)  # 1280x960
    stream.change(max_side=64)  # it is received at its size, and painted small
    stream.paint(large)
    assert not released
    stream.paint()
    stream.paint()
    assert len(released) == 1
    stream.clock.ahead += 2 * worker.RELEASE_PERIOD
    stream.paint(large)
    stream.wait_until(lambda: len(released) == 2)  # no more frames
