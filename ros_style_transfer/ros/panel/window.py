"""The panel: a window that shows the node's input and output, and changes how it stylizes.

The window only draws and sends requests; everything that may block is done by `client`.  A timer collects the
newest messages.  Changes are merged while an earlier request is pending, so that dragging a slider never
builds a queue.
"""

import html
import os
import signal
import sys
import threading
import time

import numpy as np
import rospy
from python_qt_binding.QtCore import QSignalBlocker, QSize, Qt, QTimer
from python_qt_binding.QtGui import QIcon, QImage, QPainter, QPaintEvent, QPixmap, QResizeEvent
from python_qt_binding.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ...controls import CONTROLS, in_groups
from ...errors import ImageError
from ...media import images
from ...models.registry import ALL_LEVELS, MODELS
from ...ros_common.editing import MASK, MAX_SIDE_FIELD, label_for
from ...ros_common.fields import LEVEL_PREFIX
from ...streaming.appearance import NO_MASK, TOPIC
from .. import conversions
from ..node_client import THUMBNAIL, RenderCancelled, values_of
from .client import PanelClient
from .editors import Choice, Number, Slider, WheelGuard, editor

POLL_PERIOD = 66  # milliseconds between two checks for new messages
STATUS_TIMEOUT = 5.0  # seconds without a status until the node counts as gone
LISTING_PERIOD = 10.0  # seconds between two requests for the list of styles
PREVIEW_EVERY = 2  # iterations
COLOURS = {"ready": "#2e9e44", "loading": "#d08a00", "paused": "#d08a00", "error": "#c62828"}


class StylePanel(QWidget):
    """The panel.

    Args:
        client: the connection to the node; the panel sets it up and shuts it down.

    Attributes:
        controls: the editor of each control but ``level_strength``, by name.
        mask, max_side: the editors of what they say.
        levels: the slider of each level's strength.
        weights: the slider of each style in a mixture, by name.
    """

    def __init__(self, client: PanelClient) -> None:
        super().__init__()
        self.client = client
        self._status, self._status_time = None, 0.0
        self._connected = False
        self._parameters = {}
        self._unshown = set()  # of "status" and "parameters": received, but not shown yet
        self._pending_changes, self._is_sending = {}, False
        self._paths, self._thumbnails, self._unread_thumbnails = {}, {}, []
        self._list_time, self._is_listing = 0.0, False
        self._progress_time = 0.0
        self._shown_model = None
        self._render = None  # identifies this panel's render while it runs
        self._build()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(POLL_PERIOD)
        client.setup(lambda problem: self._show_answer(problem) if problem else None)

    def shutdown(self) -> None:
        """Stop drawing, and disconnect."""
        self._timer.stop()
        self.client.shutdown()

    # --- the widgets ------------------------------------------------------------------------

    def _build(self):
        self.setWindowTitle("Style transfer")
        self.resize(1100, 820)
        self.state = QLabel()
        self.state.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Preferred)
        self.camera, self.painted = Picture(), Picture()
        self.pause = QPushButton("Pause", checkable=True, toolTip="pause the node")
        self.pause.clicked.connect(self._pause)
        self.save = QPushButton("Save", toolTip="save the newest frame and its stylized version in ~output_dir")
        self.save.clicked.connect(self._save)
        self.message = QLineEdit(readOnly=True, frame=False)
        self._show_message("")
        self._node_widgets = []  # widgets that are disabled without a node

        pictures = QHBoxLayout()
        for title, picture in (("Camera", self.camera), ("Painted", self.painted)):
            pictures.addWidget(_group(title, _margins(QVBoxLayout(), picture)))
        left, right, bottom = QVBoxLayout(), QVBoxLayout(), QHBoxLayout()
        left.addLayout(pictures, 1)
        left.addWidget(self._build_render(), 1)
        right.addWidget(self._build_styles(), 1)
        right.addWidget(self._build_controls(), 1)
        side = QWidget()
        side.setLayout(_margins(right))
        side.setFixedWidth(380)
        middle = QHBoxLayout()
        middle.addLayout(left, 1)
        middle.addWidget(side)
        for widget, stretch in ((self.message, 1), (self.pause, 0), (self.save, 0)):
            bottom.addWidget(widget, stretch)
        self._node_widgets += [self.pause, self.save]
        column = QVBoxLayout(self)
        column.addWidget(self.state)
        column.addLayout(middle, 1)
        column.addLayout(bottom)

    def _build_styles(self):
        self.styles = QListWidget(
            viewMode=QListWidget.IconMode,
            resizeMode=QListWidget.Adjust,
            movement=QListWidget.Static,
            iconSize=QSize(THUMBNAIL, THUMBNAIL),
            gridSize=QSize(THUMBNAIL + 12, THUMBNAIL + 24),
            textElideMode=Qt.ElideRight,
            verticalScrollMode=QAbstractItemView.ScrollPerPixel,
        )
        self.styles.setStyleSheet(
            "QListWidget::item:selected { background: palette(highlight); color: palette(highlighted-text) }"
        )
        self.styles.itemSelectionChanged.connect(self._on_selection)
        self.mix = QCheckBox("Mix", toolTip="click each style of the mixture, then set the weights")
        self.mix.toggled.connect(self._on_mix_toggled)
        self.random = QPushButton("Random", toolTip="a random style")
        self.random.clicked.connect(lambda: self._change(styles=["random"], weights=[]))
        self.frame = QPushButton("From camera", toolTip="use the camera's next frame as the style")
        self.frame.clicked.connect(lambda: self._change(styles=["camera"], weights=[]))
        self.add = QPushButton("Add file...", toolTip="add a picture from this computer until the node ends")
        self.add.clicked.connect(self._choose_file)
        self.weights = {}
        self._mixture_rows = QGridLayout()
        self._mixture_rows.setAlignment(Qt.AlignTop)
        self._mixture_area = QScrollArea(widgetResizable=True, maximumHeight=110, frameShape=QScrollArea.NoFrame)
        rows = QWidget()
        rows.setLayout(_margins(self._mixture_rows))
        self._mixture_area.setWidget(rows)
        self._mixture_area.hide()
        buttons = QHBoxLayout()
        buttons.addWidget(self.mix, 1)
        for button in (self.random, self.frame, self.add):
            buttons.addWidget(button)
        self.mask = Choice(MASK)
        self.mask.setToolTip(MASK.help)
        self.mask.edited.connect(lambda: self._change(mask=self.mask.chosen()))
        self._show_masks([])
        mask = QHBoxLayout()
        mask.addWidget(QLabel("Mask"))
        mask.addWidget(self.mask, 1)
        column = QVBoxLayout()
        column.addWidget(self.styles, 1)
        column.addWidget(self._mixture_area)
        column.addLayout(buttons)
        column.addLayout(mask)
        return self._needs_node(_group("Style", column))

    def _build_controls(self):
        self.controls = {
            control.name: editor(control)
            for control in CONTROLS.values()
            if control.live and control.name != "level_strength"
        }
        self.max_side = Number(MAX_SIDE_FIELD)
        self.max_side.setSpecialValueText("the camera's size")
        self.levels = {level: Slider((0.0, 1.0), 1.0) for level in ALL_LEVELS}
        self._guard = WheelGuard(self)
        column = QVBoxLayout()
        for group, controls in in_groups([MAX_SIDE_FIELD, *(control for control in CONTROLS.values() if control.live)]):
            rows = QGridLayout()
            rows.setColumnStretch(1, 1)
            for control in controls:
                if control.name == "level_strength":
                    for level, slider in self.levels.items():
                        self._add_row(rows, "Level %d" % level, slider, control, self._level_strength)
                else:
                    widget = self.controls.get(control.name, self.max_side)
                    self._add_row(rows, label_for(control.name), widget, control, widget.chosen)
            column.addWidget(_group(group, rows))
        scrolled = QWidget()
        scrolled.setLayout(_margins(column))
        area = QScrollArea(widgetResizable=True, frameShape=QScrollArea.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        area.setWidget(scrolled)
        self.reset = QPushButton("Reset", toolTip="set all controls to their defaults")
        self.reset.clicked.connect(self._reset)
        return self._needs_node(_group("Controls", _margins(QVBoxLayout(), area, self.reset)))

    def _add_row(self, rows, text, widget, control, read):
        """A row in the grid ``rows``: label, editor, and a slider's number; ``read`` returns the chosen value."""
        label, row = QLabel(text), rows.rowCount()
        for part in (label, widget):
            part.setToolTip(control.help)
        widget.setFocusPolicy(Qt.StrongFocus)  # not by the wheel
        widget.installEventFilter(self._guard)
        rows.addWidget(label, row, 0)
        if isinstance(widget, Slider):
            rows.addWidget(widget, row, 1)
            rows.addWidget(widget.number_label, row, 2)
        else:
            rows.addWidget(widget, row, 1, 1, 2)
        widget.edited.connect(lambda: self._change(**{control.name: read()}))
        widget.label = label

    def _build_render(self):
        self.render_size = QSpinBox(
            minimum=images.MIN_SIDE,
            maximum=images.MAX_SIDE,
            singleStep=64,
            value=512,
            suffix=" pixels",
            toolTip="the longer side",
        )
        self.iterations = QSpinBox(maximum=100000, singleStep=5, specialValueText="default", toolTip="at each size")
        self.time_budget = QSpinBox(
            maximum=86400,
            singleStep=10,
            value=60,
            suffix=" s",
            specialValueText="unlimited",
            toolTip="the render ends after this time",
        )
        self.save_as = QLineEdit(
            placeholderText="not saved", toolTip="name of a new file in ~output_dir, such as night.png"
        )
        self.render_button = QPushButton("Render", toolTip="render the camera's next frame in the current style")
        self.render_button.clicked.connect(self._begin_render)
        self.cancel = QPushButton("Cancel", enabled=False)
        self.cancel.clicked.connect(self._cancel)
        self.progress = QProgressBar(maximum=1000, textVisible=False)
        self.progress_text = QLabel(wordWrap=True, alignment=Qt.AlignTop)
        self.rendered = Picture()
        self.rendered.setText("no render yet")
        form, buttons = QFormLayout(), QHBoxLayout()
        for title, field in (
            ("Size", self.render_size),
            ("Iterations", self.iterations),
            ("Time", self.time_budget),
            ("Save as", self.save_as),
        ):
            form.addRow(title, field)
        buttons.addWidget(self.render_button)
        buttons.addWidget(self.cancel)
        fields = QWidget()
        fields.setLayout(_margins(QVBoxLayout(), form, buttons, self.progress, self.progress_text))
        fields.layout().setStretch(3, 1)
        fields.setFixedWidth(240)
        row = QHBoxLayout()
        row.addWidget(fields)
        row.addWidget(self.rendered, 1)
        return self._needs_node(_group("Render", row), fields)

    def _needs_node(self, group, part=None):
        self._node_widgets.append(part or group)
        return group

    # --- messages from the node ---------------------------------------------------------------

    def _tick(self):
        for name, picture in (
            ("camera", self.camera),
            ("painted", self.painted),
            ("preview", self.rendered),
            ("render", self.rendered),
        ):
            message = self.client.take(name)
            if message is not None:
                try:
                    picture.show_rgb(conversions.to_rgb(message))
                except ImageError as error:
                    self._show_answer(error)
        status, parameters, progress = (self.client.take(name) for name in ("status", "parameters", "progress"))
        if status is not None:
            self._status, self._status_time = status, time.monotonic()
            self._unshown.add("status")
        if parameters is not None:
            self._parameters = values_of(parameters)
            self._unshown.add("parameters")
        if progress is not None:
            self._show_progress(progress)
        self._set_connected(self.client.connected() and time.monotonic() - self._status_time < STATUS_TIMEOUT)
        self._show_state()
        if self._connected and time.monotonic() - self._list_time > LISTING_PERIOD and not self._is_listing:
            self._is_listing = True
            self.client.list_styles(self._show_styles)
        editors = [self.mask, self.max_side, *self.controls.values(), *self.levels.values(), *self.weights.values()]
        if self._unshown and self._status and not self._is_sending and not any(widget.is_busy() for widget in editors):
            self._show_node_state(self._parameters if "parameters" in self._unshown else {})
            self._unshown = set()
        others = time.monotonic() - self._progress_time < STATUS_TIMEOUT
        self.render_button.setEnabled(self._render is None)
        self.cancel.setEnabled(self._render is not None or others)

    def _set_connected(self, connected):
        """Enable or disable the widgets, because the node came or went."""
        for widget in self._node_widgets:
            widget.setEnabled(connected)
        if connected and not self._connected:
            self._list_time = 0.0
        if self._connected and not connected:
            self._pending_changes = {}
            if self._render is not None:
                self._end_render(rospy.ROSException("the render ended because the node ended"))
        self._connected = connected

    def _show_state(self):
        status, age = self._status, time.monotonic() - self._status_time
        if self._connected:
            style = ", ".join("%s %g" % pair for pair in zip(status.style.split(","), status.weights)) or status.style
            shown = " &nbsp; ".join(
                html.escape(part)
                for part in (
                    "%s: %s" % (status.model, style),
                    status.controls,
                    "%.1f of %.1f frames/s" % (status.output_rate, status.input_rate),
                    "%.0f ms" % (1e3 * status.latency),
                    "" if status.message.startswith("style ") else status.message,
                )
                if part
            )  # which repeats the style
            state = "<b>%s</b> &nbsp; %s" % (status.state, shown)
        elif self.client.node is None:
            state = "waiting for the ROS master"
        else:
            state = "waiting for <b>%s</b>" % html.escape(self.client.node)
            state += ", silent for %.0f s" % age if status else ""
        colour = COLOURS.get(status.state, "gray") if self._connected else "gray"
        self.state.setText("<span style='color: %s; font-size: large'>&#9679;</span> %s" % (colour, state))
        self.camera.setText("no frame on %s" % self.client.image if self.client.image else "")
        self.painted.setText(status.message if self._connected else "no painted frame yet")

    def _show_node_state(self, values):
        """Show the state of the node, whoever changed it: the last status, and ``values``, its parameters."""
        status = self._status
        if status.model != self._shown_model and status.model in MODELS:
            self._show_model(status.model)
        for name, widget in self.controls.items():
            if name in values:
                widget.show_value(values[name])
        self.controls["strength"].show_value(status.strength)
        for level, slider in self.levels.items():
            slider.show_value(values.get(LEVEL_PREFIX + str(level), slider.number()))
        if "max_side" in values:
            self.max_side.show_value(values["max_side"])
        if "mask" in values:
            self._show_masks(self._masks, values["mask"])
        if "paused" in values:
            self.pause.setChecked(values["paused"])
        names = status.style.split(",")
        self._show_chosen(dict(zip(names, status.weights or [1.0] * len(names))))

    def _show_model(self, name):
        """Show the levels and the defaults of this model."""
        self._shown_model, spec = name, MODELS[name]
        for level, slider in self.levels.items():
            for part in (slider, slider.label, slider.number_label):
                part.setVisible(level in spec.levels)
        self.controls["method"].show_choices(CONTROLS["method"].allowed, spec.method)
        self.controls["swap_level"].show_choices(spec.swap_levels, spec.swap_levels[0])

    # --- styles -----------------------------------------------------------------------------

    def _show_styles(self, answer):
        """Show the answer of `list_styles`."""
        self._is_listing, self._list_time = False, time.monotonic()
        if isinstance(answer, Exception):  # the node is just starting or ending: try again in a second
            self._list_time -= LISTING_PERIOD - 1
            return
        if list(answer.masks) != self._masks and not self.mask.is_busy():
            self._show_masks(list(answer.masks), self.mask.chosen())
        paths = dict(zip(answer.names, answer.paths))
        if paths == self._paths:
            return
        self._paths = paths
        with QSignalBlocker(self.styles):
            self.styles.clear()
            for name in paths:
                item = QListWidgetItem(self._icon(name), name)
                item.setToolTip(name)
                self.styles.addItem(item)
        self._unshown.add("status")
        idle = not self._unread_thumbnails
        self._unread_thumbnails = [(name, path) for name, path in paths.items() if (name, path) not in self._thumbnails]
        if idle:
            self._read_next()

    def _show_masks(self, masks, current=""):
        """Offer these masks; ``current`` is in force."""
        self._masks, current = masks, current or NO_MASK
        self.mask.show_choices(list(dict.fromkeys((NO_MASK, TOPIC, *masks, current))), "")
        self.mask.show_value(current)

    def _read_next(self):
        """Read one thumbnail after another, so that a large folder occupies only one core."""
        if self._unread_thumbnails:
            name, path = self._unread_thumbnails[0]
            self.client.thumbnail(path, lambda rgb: self._on_thumbnail(name, path, rgb))

    def _on_thumbnail(self, name, path, rgb):
        if not isinstance(rgb, Exception):  # the node may run on another computer
            self._set_thumbnail(name, path, rgb)
        self._unread_thumbnails = [pair for pair in self._unread_thumbnails if pair != (name, path)]
        self._read_next()

    def _set_thumbnail(self, name, path, rgb):
        self._thumbnails[name, path] = QIcon(_pixmap(rgb))
        for item in self.styles.findItems(name, Qt.MatchExactly):
            item.setIcon(self._icon(name))

    def _icon(self, name):
        icon = self._thumbnails.get((name, self._paths.get(name))) or self._thumbnails.get((name, None))
        if icon is None:
            blank = QPixmap(THUMBNAIL, THUMBNAIL)
            blank.fill(Qt.lightGray)
            icon = QIcon(blank)
        return icon

    def _selected_styles(self):
        return [item.text() for item in map(self.styles.item, range(self.styles.count())) if item.isSelected()]

    def _on_selection(self):
        """Ask for the styles that were clicked."""
        names = self._selected_styles()
        self._show_weights({name: self.weights[name].number() if name in self.weights else 1.0 for name in names})
        if names:
            self._send_mixture()

    def _send_mixture(self):
        names = self._selected_styles()
        weights = [self.weights[name].number() for name in names] if len(names) > 1 else []
        self._change(styles=names, weights=weights)

    def _on_mix_toggled(self, mixed):
        chosen = self._selected_styles()
        with QSignalBlocker(self.styles):
            self.styles.setSelectionMode(QListWidget.MultiSelection if mixed else QListWidget.SingleSelection)
            for item in map(self.styles.item, range(self.styles.count())):
                item.setSelected(item.text() in (chosen if mixed else chosen[:1]))
        if chosen[1:] and not mixed:
            self._on_selection()

    def _show_chosen(self, weights):
        """Select the styles in ``weights``, and show their weights relative to the largest."""
        largest = max(weights.values()) or 1.0
        weights = {name: weight / largest for name, weight in weights.items()}
        if len(weights) > 1:
            self.mix.setChecked(True)
        with QSignalBlocker(self.styles):
            for item in map(self.styles.item, range(self.styles.count())):
                item.setSelected(item.text() in weights)
        self._show_weights(weights)

    def _show_weights(self, weights):
        """Show a slider for each style of a mixture."""
        if list(weights) != list(self.weights):
            while self._mixture_rows.count():
                part = self._mixture_rows.takeAt(0).widget()
                part.hide()
                part.deleteLater()
            self.weights = {}
            for row, name in enumerate(weights):
                slider = self.weights[name] = Slider()
                slider.edited.connect(self._send_mixture)
                for column, part in enumerate((QLabel(name), slider, slider.number_label)):
                    self._mixture_rows.addWidget(part, row, column)
            self._mixture_rows.setColumnStretch(1, 1)
        for name, weight in weights.items():
            self.weights[name].show_value(weight)
        self._mixture_area.setVisible(len(weights) > 1)

    def _choose_file(self):
        dialog = QFileDialog(self, "Add a style", "", "Pictures (*%s)" % " *".join(images.EXTENSIONS))
        dialog.setAttribute(Qt.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.ExistingFile)
        dialog.fileSelected.connect(self._add_style)
        dialog.open()

    def _add_style(self, path):
        self._show_message("adding %s" % path)
        self.client.add_style(path, not self.mix.isChecked(), self._on_style_added)

    def _on_style_added(self, answer):
        if isinstance(answer, Exception):
            self._show_answer(answer)
            return
        response, name, rgb = answer
        self._show_answer(response)
        if response.success:
            self._set_thumbnail(name, None, rgb)
            self._list_time = 0.0

    # --- requests ---------------------------------------------------------------------------

    def _level_strength(self):
        """The levels of the model that are below their full strength, as the control's text."""
        return ",".join(
            "%d:%g" % (level, slider.number())
            for level, slider in self.levels.items()
            if not slider.isHidden() and slider.number() < 1
        )

    def _reset(self):
        """Ask for the default of every control."""
        self._change(**dict(dict.fromkeys(CONTROLS, ""), strength=CONTROLS["strength"].default))

    def _change(self, **values):
        """Ask for these controls; changes while a request is pending are merged and sent after it."""
        self._pending_changes.update(values)
        if not self._is_sending:
            self._send_changes()

    def _send_changes(self):
        values, self._pending_changes, self._is_sending = self._pending_changes, {}, True
        self.client.change(values, self._on_change_answered)

    def _on_change_answered(self, answer):
        self._is_sending = False
        # Messages from before a successful request are outdated; after a refusal they are shown again.
        self._unshown = set() if self._show_answer(answer) else {"status", "parameters"}
        if self._pending_changes:
            self._send_changes()

    def _pause(self, paused):
        def then(answer):
            if not self._show_answer(answer):
                self.pause.setChecked(not paused)

        self.client.pause(paused, then)

    def _save(self):
        self.client.save(self._show_answer)

    def _show_answer(self, answer):
        """Show a response's message or an exception in the bottom line; returns whether it is a success."""
        success = not isinstance(answer, Exception) and answer.success
        failed = not success and not isinstance(answer, RenderCancelled)  # which is what the user wanted
        self._show_message(str(answer) if isinstance(answer, Exception) else answer.message, failed)
        return success

    def _show_message(self, text, problem=False):
        text = " ".join(text.split())
        self.message.setStyleSheet("background: transparent;" + ("color: %s" % COLOURS["error"] if problem else ""))
        self.message.setText(text)
        self.message.setToolTip(text)
        self.message.setCursorPosition(0)

    # --- renders ----------------------------------------------------------------------------

    def _begin_render(self):
        self._render = mark = object()
        goal = dict(
            size=self.render_size.value(),
            iterations=self.iterations.value(),
            time_budget=self.time_budget.value(),
            preview_every=PREVIEW_EVERY,
            save_as=self.save_as.text().strip(),
        )  # of the styles, the mask and the controls in force
        self.progress.setValue(0)
        self.progress_text.setText("waiting for the renders before it")
        self.client.render(
            goal,
            lambda answer: self._end_render(answer) if self._render is mark else None,
            lambda _: self.progress_text.setText("starting") if self._render is mark else None,
        )

    def _cancel(self):
        self.client.cancel(self._render is not None, self._show_answer)

    def _show_progress(self, progress):
        self._progress_time = time.monotonic()
        total = progress.seconds + progress.remaining
        self.progress.setValue(round(1000 * progress.seconds / total) if total else 0)
        self.progress_text.setText(
            "size %d of %d, %dx%d\niteration %d of %d\n%.0f s to go%s"
            % (
                progress.scale,
                progress.scales,
                progress.width,
                progress.height,
                progress.iteration,
                progress.iterations,
                progress.remaining,
                "\n" + progress.note if progress.note else "",
            )
        )

    def _end_render(self, answer):
        self._render, self._progress_time = None, 0.0
        self.progress.setValue(1000 if self._show_answer(answer) else 0)
        self.progress_text.setText("")


class Picture(QLabel):
    """A picture that fills its place and keeps its proportions; before the first one, the label's text."""

    def __init__(self) -> None:
        super().__init__(alignment=Qt.AlignCenter, wordWrap=True)
        self.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Ignored)
        self.setMinimumSize(160, 120)
        self._rgb = self.shown = None  # the picture, and the QPixmap of it

    def show_rgb(self, rgb: np.ndarray) -> None:
        """Show a picture, uint8 RGB ``[h,w,3]``."""
        # Scaled down first: the frames of a large camera would slow the window down.
        side = round(max(self.width(), self.height()) * self.devicePixelRatioF())
        self._rgb, self.shown = rgb, _pixmap(images.limit_longest_side(rgb, side))
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._rgb is not None:
            self.show_rgb(self._rgb)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.shown is None:
            super().paintEvent(event)
            return
        size = self.shown.size().scaled(self.size(), Qt.KeepAspectRatio)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.SmoothPixmapTransform)
        painter.drawPixmap(
            (self.width() - size.width()) // 2,
            (self.height() - size.height()) // 2,
            size.width(),
            size.height(),
            self.shown,
        )
        painter.end()


def _pixmap(rgb):
    height, width = rgb.shape[:2]
    return QPixmap.fromImage(QImage(rgb.tobytes(), width, height, 3 * width, QImage.Format_RGB888))


def _group(title, layout):
    group = QGroupBox(title)
    group.setLayout(layout)
    return group


def _margins(layout, *parts):
    """``layout`` without margins, containing these widgets and layouts."""
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        (layout.addWidget if isinstance(part, QWidget) else layout.addLayout)(part)
    return layout


def forget_opencvs_plugins() -> None:
    """Unset the paths of Qt plugins that OpenCV's wheels set, since they are for another version of Qt.

    Call this before Qt starts.
    """
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"):
        if "cv2" in os.environ.get(name, ""):
            del os.environ[name]


def main() -> None:
    """Show the panel until its window is closed, Ctrl-C is pressed, or ROS shuts down."""
    forget_opencvs_plugins()
    application = QApplication(rospy.myargv(sys.argv)[:1])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: application.quit())
    panel = StylePanel(PanelClient())
    panel.show()
    watch = QTimer()
    watch.timeout.connect(lambda: application.quit() if rospy.is_shutdown() else None)
    watch.start(200)  # it also lets Python handle signals
    application.exec_()
    panel.hide()
    ending = threading.Thread(target=rospy.signal_shutdown, args=("the panel was closed",), daemon=True)
    ending.start()
    ending.join(1.0)  # do not wait for a master that does not answer
    os._exit(0)  # nothing is left to clean up, and Python's own clean-up takes long
