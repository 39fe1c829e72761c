"""The panel: a window that shows what the node sees and paints, and changes how it paints.

It only draws and asks; whatever may take its time is `client`'s.  A timer looks for what came
and draws the newest.  Changes are joined while an earlier one is on its way, so that a slider's drag
never queues up.
"""
import html
import os
import signal
import sys
import threading
import time

import rospy
from python_qt_binding.QtCore import QSignalBlocker, QSize, Qt, QTimer
from python_qt_binding.QtGui import QIcon, QImage, QPainter, QPixmap
from python_qt_binding.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QCheckBox,
    QComboBox,
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
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ...controls import ALL_LEVELS, DESCRIPTIONS, KEEP_COLOURS, METHODS, MODELS
from ...errors import ImageError
from ...media import images
from ...media.images import MAX_SIDE, MIN_SIDE
from .. import conversions
from .client import THUMBNAIL, PanelClient

PERIOD = 66  # milliseconds between looks for what came
SILENCE = 5.0  # seconds without a status after which the node is taken for gone
LISTING = 10.0  # seconds between looks for new styles
PREVIEW_EVERY = 2  # iterations
COLOURS = {"ready": "#2e9e44", "loading": "#d08a00", "paused": "#d08a00", "error": "#c62828"}


class StylePanel(QWidget):
    """The panel.

    Args:
        client: `client.PanelClient`; the panel sets it up and shuts it down.
    """

    def __init__(self, client):
        super().__init__()
        self.client = client
        self._status, self._heard = None, 0.0
        self._connected = False
        self._parameters = {}
        self._due = set()  # of "status" and "parameters", what the widgets do not show yet
        self._wanted, self._asking = {}, False
        self._paths, self._thumbnails, self._unread = {}, {}, []
        self._listed, self._listing = 0.0, False
        self._progress, self._progressed = None, 0.0
        self._render = None  # a mark for our own render, as long as it runs
        self._build()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(PERIOD)
        client.setup(lambda problem: self._tell(problem) if problem else None)

    def shutdown(self):
        """Stop asking and drawing."""
        self._timer.stop()
        self.client.shutdown()

    # --- the widgets ------------------------------------------------------------------------

    def _build(self):
        self.setWindowTitle("Style transfer")
        self.resize(1100, 720)
        self.state = QLabel()
        self.state.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Preferred)
        self.camera, self.painted = Picture(), Picture()
        self.pause = QPushButton("Pause", checkable=True, toolTip="let the node rest")
        self.pause.clicked.connect(self._pause)
        self.save = QPushButton("Save", toolTip="write the newest frame and its painting below ~output_dir")
        self.save.clicked.connect(self._save)
        self.message = QLineEdit(readOnly=True, frame=False)
        self._say("")
        self._live = []  # what works only with a node

        pictures = QHBoxLayout()
        for title, picture in (("Camera", self.camera), ("Painted", self.painted)):
            pictures.addWidget(_group(title, _margins(QVBoxLayout(), picture)))
        left, right, bottom = QVBoxLayout(), QVBoxLayout(), QHBoxLayout()
        left.addLayout(pictures, 1)
        left.addWidget(self._build_render(), 1)
        right.addWidget(self._build_styles(), 1)
        right.addWidget(self._build_controls())
        side = QWidget()
        side.setLayout(_margins(right))
        side.setFixedWidth(380)
        middle = QHBoxLayout()
        middle.addLayout(left, 1)
        middle.addWidget(side)
        for widget, stretch in ((self.message, 1), (self.pause, 0), (self.save, 0)):
            bottom.addWidget(widget, stretch)
        self._live += [self.pause, self.save]
        column = QVBoxLayout(self)
        column.addWidget(self.state)
        column.addLayout(middle, 1)
        column.addLayout(bottom)

    def _build_styles(self):
        self.styles = QListWidget(
            viewMode=QListWidget.IconMode, resizeMode=QListWidget.Adjust, movement=QListWidget.Static,
            iconSize=QSize(THUMBNAIL, THUMBNAIL), gridSize=QSize(THUMBNAIL + 12, THUMBNAIL + 24),
            textElideMode=Qt.ElideRight, verticalScrollMode=QAbstractItemView.ScrollPerPixel)
        self.styles.setStyleSheet(
            "QListWidget::item:selected { background: palette(highlight); color: palette(highlighted-text) }")
        self.styles.itemSelectionChanged.connect(self._choose)
        self.mix = QCheckBox("Mix", toolTip="click every style that takes part, then weigh them")
        self.mix.toggled.connect(self._mix)
        self.random = QPushButton("Random", toolTip="any style")
        self.random.clicked.connect(lambda: self._change(styles=["random"], weights=[]))
        self.frame = QPushButton("From camera", toolTip="the camera's next frame becomes the style")
        self.frame.clicked.connect(lambda: self._change(styles=["camera"], weights=[]))
        self.add = QPushButton("Add file...", toolTip="a picture of this computer, for as long as the node runs")
        self.add.clicked.connect(self._choose_file)
        self.weights = {}  # sliders by style
        self._weights = QGridLayout()
        self._weights.setAlignment(Qt.AlignTop)
        self._weights_area = QScrollArea(widgetResizable=True, maximumHeight=110, frameShape=QScrollArea.NoFrame)
        rows = QWidget()
        rows.setLayout(_margins(self._weights))
        self._weights_area.setWidget(rows)
        self._weights_area.hide()
        buttons = QHBoxLayout()
        buttons.addWidget(self.mix, 1)
        for button in (self.random, self.frame, self.add):
            buttons.addWidget(button)
        column = QVBoxLayout()
        column.addWidget(self.styles, 1)
        column.addWidget(self._weights_area)
        column.addLayout(buttons)
        return self._when_live(_group("Style", column))

    def _build_controls(self):
        self.strength, self.swap = Share(100), Share()
        self.levels = {level: Share(100) for level in ALL_LEVELS}
        self.method, self.keep_colours, self.swap_level = QComboBox(), QComboBox(), QComboBox()
        for method in METHODS:
            self.method.addItem(method, method)
        self.method.insertItem(0, "the model's own", "")
        self.method.setCurrentIndex(0)
        for kept in KEEP_COLOURS:
            self.keep_colours.addItem(kept, kept)
        self._rows = QGridLayout()
        self._row("Strength", self.strength, "strength")
        for level, slider in self.levels.items():
            self._row("Level %d" % level, slider, "level_strength", self._level_strength)
        self._row("Method", self.method, "method")
        self._row("Keep colours", self.keep_colours, "keep_colours")
        self._row("Swap", self.swap, "swap")
        self._row("Swap level", self.swap_level, "swap_level")
        self._rows.setColumnStretch(1, 1)
        return self._when_live(_group("Painting", self._rows))

    def _row(self, title, widget, control, value=None):
        """A row of the controls: its name, its widget, and for a slider its figure."""
        label, row = QLabel(title), self._rows.rowCount()
        for part in (label, widget):
            part.setToolTip(DESCRIPTIONS[control][1])
        self._rows.addWidget(label, row, 0)
        if isinstance(widget, Share):
            self._rows.addWidget(widget, row, 1)
            self._rows.addWidget(widget.figure, row, 2)
            widget.valueChanged.connect(lambda: self._change(**{control: value() if value else widget.share()}))
        else:
            self._rows.addWidget(widget, row, 1, 1, 2)
            widget.activated.connect(lambda: self._change(**{control: widget.currentData()}))
        widget.label = label

    def _build_render(self):
        self.render_size = QSpinBox(minimum=MIN_SIDE, maximum=MAX_SIDE, singleStep=64, value=512, suffix=" pixels",
                                    toolTip="the longer side")
        self.iterations = QSpinBox(maximum=100000, singleStep=5, specialValueText="as usual",
                                   toolTip="at every size")
        self.time_budget = QSpinBox(maximum=86400, singleStep=10, value=60, suffix=" s",
                                    specialValueText="unlimited", toolTip="it ends with what is done by then")
        self.save_as = QLineEdit(placeholderText="not saved", toolTip="a new file below ~output_dir, such as night.png")
        self.render_button = QPushButton("Render", toolTip="the camera's next frame, in the style in force")
        self.render_button.clicked.connect(self._begin_render)
        self.cancel = QPushButton("Cancel", enabled=False)
        self.cancel.clicked.connect(self._cancel)
        self.progress = QProgressBar(maximum=1000, textVisible=False)
        self.progress_text = QLabel(wordWrap=True, alignment=Qt.AlignTop)
        self.rendered = Picture()
        self.rendered.setText("no render yet")
        form, buttons = QFormLayout(), QHBoxLayout()
        for title, field in (("Size", self.render_size), ("Iterations", self.iterations), ("Time", self.time_budget),
                             ("Save as", self.save_as)):
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
        return self._when_live(_group("Render", row), fields)

    def _when_live(self, group, part=None):
        self._live.append(part or group)
        return group

    # --- what comes -------------------------------------------------------------------------

    def _tick(self):
        for name, picture in (("camera", self.camera), ("painted", self.painted), ("render", self.rendered)):
            message = self.client.take(name)
            if message is not None:
                try:
                    picture.show_rgb(conversions.to_rgb(message))
                except ImageError as error:
                    self._tell(error)
        status, parameters, progress = (self.client.take(name) for name in ("status", "parameters", "progress"))
        if status is not None:
            self._status, self._heard = status, time.monotonic()
            self._due.add("status")
        if parameters is not None:
            kinds = (parameters.bools, parameters.ints, parameters.strs, parameters.doubles)
            self._parameters = {item.name: item.value for kind in kinds for item in kind}
            self._due.add("parameters")
        if progress is not None:
            self._show_progress(progress)
        self._connect(self.client.connected() and time.monotonic() - self._heard < SILENCE)
        self._show_state()
        if self._connected and time.monotonic() - self._listed > LISTING and not self._listing:
            self._listing = True
            self.client.list_styles(self._list)
        sliders = [self.strength, self.swap, *self.levels.values(), *self.weights.values()]
        if self._due and self._status and not self._asking and not any(slider.isSliderDown() for slider in sliders):
            self._follow(self._parameters if "parameters" in self._due else {})
            self._due = set()
        others = time.monotonic() - self._progressed < SILENCE
        self.render_button.setEnabled(self._render is None)
        self.cancel.setEnabled(self._render is not None or others)

    def _connect(self, connected):
        """Note that the node came or went."""
        for widget in self._live:
            widget.setEnabled(connected)
        if connected and not self._connected:
            self._listed = 0.0
        if self._connected and not connected:
            self._wanted = {}
            if self._render is not None:
                self._end_render(rospy.ROSException("the render ended with the node"))
        self._connected = connected

    def _show_state(self):
        status, age = self._status, time.monotonic() - self._heard
        if self._connected:
            style = ", ".join("%s %g" % pair for pair in zip(status.style.split(","), status.weights)) or status.style
            shown = " &nbsp; ".join(html.escape(part) for part in (
                "%s: %s" % (status.model, style), status.controls, "%.1f of %.1f frames/s" % (
                    status.output_rate, status.input_rate), "%.0f ms" % (1e3 * status.latency),
                "" if status.message.startswith("style ") else status.message) if part)  # the look stands there already
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

    def _follow(self, values):
        """Let the widgets show what the node has, whoever changed it: the status, and these of its parameters."""
        status = self._status
        own = MODELS.get(status.model)
        if own:
            for level, slider in self.levels.items():
                for part in (slider, slider.label, slider.figure):
                    part.setVisible(level in own.levels)
            self.method.setItemText(0, "the model's own (%s)" % own.method)
            if [self.swap_level.itemData(i) for i in range(1, self.swap_level.count())] != list(own.swap_levels):
                self.swap_level.clear()
                self.swap_level.addItem("the model's own (%d)" % own.swap_levels[0], "")
                for level in own.swap_levels:
                    self.swap_level.addItem(str(level), level)
        self.strength.show_share(status.strength)
        for level, slider in self.levels.items():
            slider.show_share(values.get("level_strength_%d" % level, slider.share()))
        self.swap.show_share(values.get("swap", self.swap.share()))
        for box, name in ((self.method, "method"), (self.keep_colours, "keep_colours"),
                          (self.swap_level, "swap_level")):
            if name in values:
                box.setCurrentIndex(max(0, box.findData(values[name] or "")))
        if "paused" in values:
            self.pause.setChecked(values["paused"])
        names = status.style.split(",")
        self._show_chosen(dict(zip(names, status.weights or [1.0] * len(names))))

    # --- styles -----------------------------------------------------------------------------

    def _list(self, answer):
        """`list_styles` has answered."""
        self._listing, self._listed = False, time.monotonic()
        if isinstance(answer, Exception):  # the node is just starting or ending
            self._listed -= LISTING - 1
            return
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
        self._due.add("status")
        idle = not self._unread
        self._unread = [(name, path) for name, path in paths.items() if (name, path) not in self._thumbnails]
        if idle:
            self._read_next()

    def _read_next(self):
        """One thumbnail after the other, so that a large folder takes no more than one core."""
        if self._unread:
            name, path = self._unread[0]
            self.client.thumbnail(path, lambda rgb: self._has_read(name, path, rgb))

    def _has_read(self, name, path, rgb):
        if not isinstance(rgb, Exception):  # a path on the node's disk need not be on ours
            self._set_thumbnail(name, path, rgb)
        self._unread = [pair for pair in self._unread if pair != (name, path)]
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

    def _chosen(self):
        return [item.text() for item in map(self.styles.item, range(self.styles.count())) if item.isSelected()]

    def _choose(self):
        """Styles were clicked."""
        names = self._chosen()
        self._show_weights({name: self.weights[name].share() if name in self.weights else 1.0 for name in names})
        if names:
            self._weigh()

    def _weigh(self):
        names = self._chosen()
        weights = [self.weights[name].share() for name in names] if len(names) > 1 else []
        self._change(styles=names, weights=weights)

    def _mix(self, mixed):
        chosen = self._chosen()
        with QSignalBlocker(self.styles):
            self.styles.setSelectionMode(QListWidget.MultiSelection if mixed else QListWidget.SingleSelection)
            for item in map(self.styles.item, range(self.styles.count())):
                item.setSelected(item.text() in (chosen if mixed else chosen[:1]))
        if chosen[1:] and not mixed:
            self._choose()

    def _show_chosen(self, weights):
        """Select these styles, with these weights of any sum."""
        largest = max(weights.values()) or 1.0
        weights = {name: weight / largest for name, weight in weights.items()}
        if len(weights) > 1:
            self.mix.setChecked(True)
        with QSignalBlocker(self.styles):
            for item in map(self.styles.item, range(self.styles.count())):
                item.setSelected(item.text() in weights)
        self._show_weights(weights)

    def _show_weights(self, weights):
        """A slider for each style of a mixture."""
        if list(weights) != list(self.weights):
            while self._weights.count():
                part = self._weights.takeAt(0).widget()
                part.hide()
                part.deleteLater()
            self.weights = {}
            for row, name in enumerate(weights):
                slider = self.weights[name] = Share()
                slider.valueChanged.connect(self._weigh)
                for column, part in enumerate((QLabel(name), slider, slider.figure)):
                    self._weights.addWidget(part, row, column)
            self._weights.setColumnStretch(1, 1)
        for name, weight in weights.items():
            self.weights[name].show_share(weight)
        self._weights_area.setVisible(len(weights) > 1)

    def _choose_file(self):
        dialog = QFileDialog(self, "Add a style", "", "Pictures (*%s)" % " *".join(images.EXTENSIONS))
        dialog.setAttribute(Qt.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.ExistingFile)
        dialog.fileSelected.connect(self._add)
        dialog.open()

    def _add(self, path):
        self._say("adding %s" % path)
        self.client.add_style(path, not self.mix.isChecked(), self._added)

    def _added(self, answer):
        if isinstance(answer, Exception):
            self._tell(answer)
            return
        response, name, rgb = answer
        self._tell(response)
        if response.success:
            self._set_thumbnail(name, None, rgb)
            self._listed = 0.0

    # --- requests ---------------------------------------------------------------------------

    def _level_strength(self):
        """Of those levels that the model has and that are not at their full strength."""
        return ",".join("%d:%g" % (level, slider.share()) for level, slider in self.levels.items()
                        if not slider.isHidden() and slider.share() < 1)

    def _change(self, **wanted):
        """Ask for another look; what is wanted while a request is on its way is joined and asked after it."""
        self._wanted.update(wanted)
        if not self._asking:
            self._ask()

    def _ask(self):
        wanted, self._wanted, self._asking = self._wanted, {}, True
        self.client.change(wanted, self._changed)

    def _changed(self, answer):
        self._asking = False
        # What came before a success tells of a time before it; after a refusal that still holds.
        self._due = set() if self._tell(answer) else {"status", "parameters"}
        if self._wanted:
            self._ask()

    def _pause(self, paused):
        def then(answer):
            if not self._tell(answer):
                self.pause.setChecked(not paused)

        self.client.pause(paused, then)

    def _save(self):
        self.client.save(self._tell)

    def _tell(self, answer):
        """Show a response's message or an exception in the line at the bottom; whether it is a success."""
        success = not isinstance(answer, Exception) and answer.success
        self._say(str(answer) if isinstance(answer, Exception) else answer.message, not success)
        return success

    def _say(self, text, problem=False):
        text = " ".join(text.split())
        self.message.setStyleSheet("background: transparent;" + ("color: %s" % COLOURS["error"] if problem else ""))
        self.message.setText(text)
        self.message.setToolTip(text)
        self.message.setCursorPosition(0)

    # --- renders ----------------------------------------------------------------------------

    def _begin_render(self):
        status, mark = self._status, object()
        self._render = mark
        goal = dict(
            size=self.render_size.value(), iterations=self.iterations.value(), time_budget=self.time_budget.value(),
            preview_every=PREVIEW_EVERY, save_as=self.save_as.text().strip(), styles=status.style.split(","),
            weights=status.weights)
        self.progress.setValue(0)
        self.progress_text.setText("waits for its turn")
        self.client.render(goal, lambda answer: self._end_render(answer) if self._render is mark else None)

    def _cancel(self):
        self.client.cancel(self._render is not None, self._tell)

    def _show_progress(self, progress):
        self._progressed = time.monotonic()
        whole = progress.seconds + progress.remaining
        self.progress.setValue(round(1000 * progress.seconds / whole) if whole else 0)
        self.progress_text.setText("size %d of %d, %dx%d\niteration %d of %d\n%.0f s to go%s" % (
            progress.scale, progress.scales, progress.width, progress.height, progress.iteration,
            progress.iterations, progress.remaining, "\n" + progress.note if progress.note else ""))

    def _end_render(self, answer):
        self._render, self._progressed = None, 0.0
        self.progress.setValue(1000 if self._tell(answer) else 0)
        self.progress_text.setText("")


class Picture(QLabel):
    """A picture as large as there is room for, in its proportions; the label's text until there is one."""

    def __init__(self):
        super().__init__(alignment=Qt.AlignCenter, wordWrap=True)
        self.setSizePolicy(QSizePolicy.Ignored, QSizePolicy.Ignored)
        self.setMinimumSize(160, 120)
        self._rgb = self.shown = None  # the picture, and the QPixmap of it

    def show_rgb(self, rgb):
        # Never larger than its place: a large camera's frames would cost the GUI its time.
        side = round(max(self.width(), self.height()) * self.devicePixelRatioF())
        self._rgb, self.shown = rgb, _pixmap(images.limit(rgb, side))
        self.update()

    def resizeEvent(self, event):
        super().resizeEvent(event)
        if self._rgb is not None:
            self.show_rgb(self._rgb)

    def paintEvent(self, event):
        if self.shown is None:
            super().paintEvent(event)
            return
        size = self.shown.size().scaled(self.size(), Qt.KeepAspectRatio)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.SmoothPixmapTransform)
        painter.drawPixmap((self.width() - size.width()) // 2, (self.height() - size.height()) // 2,
                           size.width(), size.height(), self.shown)
        painter.end()


class Share(QSlider):
    """A slider from 0 to 1 in hundredths, with its figure."""

    def __init__(self, value=0):
        super().__init__(Qt.Horizontal, maximum=100, pageStep=10)
        self.figure = QLabel("0.00")
        self.valueChanged.connect(lambda: self.figure.setText("%.2f" % self.share()))
        self.setValue(value)

    def share(self):
        return self.value() / 100

    def show_share(self, share):
        """Show a value without asking for it."""
        with QSignalBlocker(self):
            self.setValue(round(100 * share))
        self.figure.setText("%.2f" % self.share())


def _pixmap(rgb):
    height, width = rgb.shape[:2]
    return QPixmap.fromImage(QImage(rgb.tobytes(), width, height, 3 * width, QImage.Format_RGB888))


def _group(title, layout):
    group = QGroupBox(title)
    group.setLayout(layout)
    return group


def _margins(layout, *parts):
    """``layout`` without margins, with these widgets and layouts in it."""
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        (layout.addWidget if isinstance(part, QWidget) else layout.addLayout)(part)
    return layout


def forget_opencvs_plugins():
    """Take back what OpenCV's wheels say to Qt: their plugins fit another Qt than the binding's.  Before Qt starts."""
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"):
        if "cv2" in os.environ.get(name, ""):
            del os.environ[name]


def main():
    """Show the panel until its window is closed, Ctrl-C, or the end of the ROS node."""
    forget_opencvs_plugins()
    application = QApplication(rospy.myargv(sys.argv)[:1])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: application.quit())
    panel = StylePanel(PanelClient())
    panel.show()
    watch = QTimer()
    watch.timeout.connect(lambda: application.quit() if rospy.is_shutdown() else None)
    watch.start(200)  # it also lets Python see the signals
    application.exec_()
    panel.hide()
    ending = threading.Thread(target=rospy.signal_shutdown, args=("the panel was closed",), daemon=True)
    ending.start()
    ending.join(1.0)  # a master that does not answer must not keep us
    os._exit(0)  # nothing is left to be tidied, and Python would take its time over that
