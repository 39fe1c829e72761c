"""The official weights: fetched from a server that behaves, or not; checked; read."""

import hashlib
import http.server
import os
import threading

import numpy as np
import pytest

from ros_style_transfer.errors import OptionError, WeightsError
from ros_style_transfer.models import vgg_weights
from ros_style_transfer.models.shapes import ALL_CONVOLUTIONS, VGG_WIDTHS, encoder_layers

DATA = np.random.default_rng(0).bytes(700000)


@pytest.fixture
def server():
    """A server of ``/weights.h5``; ``asked`` lists the ranges that were asked for, ``ranges`` says whether it heeds
    them, ``most`` after how many bytes it hangs up."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/weights.h5":
                self.send_error(404)
                return
            wanted = self.headers.get("Range")
            self.server.asked.append(wanted)
            start = int(wanted[6:-1]) if wanted and self.server.ranges else 0
            self.send_response(206 if start else 200)
            self.end_headers()
            self.wfile.write(DATA[start : self.server.most])

        def log_message(self, *_):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked, made.ranges, made.most = [], True, None
    made.url = "http://127.0.0.1:%d/weights.h5" % made.server_address[1]
    made.source = {"net": vgg_weights.Source(made.url, len(DATA), "sha256", hashlib.sha256(DATA).hexdigest())}
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_it_fetches_once(server, tmp_path):
    path = vgg_weights.fetch("net", str(tmp_path / "new"), server.source)
    with open(path, "rb") as file:
        assert file.read() == DATA
    assert vgg_weights.fetch("net", str(tmp_path / "new"), server.source) == path
    assert server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_it_goes_on_where_it_stopped(server, tmp_path, ranges):
    server.ranges = ranges
    (tmp_path / "weights.h5.part").write_bytes(DATA[:300000])
    with open(vgg_weights.fetch("net", str(tmp_path), server.source), "rb") as file:
        assert file.read() == DATA
    assert server.asked == ["bytes=300000-"]
    assert os.listdir(str(tmp_path)) == ["weights.h5"]


def test_what_came_before_the_connection_broke_off_is_kept(server, tmp_path):
    server.most = 300000
    with pytest.raises(WeightsError, match="was lost after 300000 of 700000 bytes; run the command again"):
        vgg_weights.fetch("net", str(tmp_path), server.source)
    server.most = None
    with open(vgg_weights.fetch("net", str(tmp_path), server.source), "rb") as file:
        assert file.read() == DATA
    assert server.asked == [None, "bytes=300000-"]


def test_what_is_not_the_file_is_not_kept(server, tmp_path):
    (tmp_path / "weights.h5.part").write_bytes(b"x" + DATA[1:300000])
    with pytest.raises(WeightsError, match="is damaged: 700000 bytes with SHA256"):
        vgg_weights.fetch("net", str(tmp_path), server.source)
    assert os.listdir(str(tmp_path)) == []


def test_a_server_that_cannot_be_reached_is_named(server, tmp_path):
    gone = {"net": server.source["net"]._replace(url=server.url + "x")}
    with pytest.raises(WeightsError, match="cannot download http://127.0.0.1.*Not Found"):
        vgg_weights.fetch("net", str(tmp_path), gone)
    nobody = {"net": server.source["net"]._replace(url="http://127.0.0.1:9/weights.h5")}
    with pytest.raises(WeightsError, match="refused"):
        vgg_weights.fetch("net", str(tmp_path), nobody)
    with pytest.raises(OptionError, match="no download is known for 'resnet'; available: vgg16, vgg19"):
        vgg_weights.fetch("resnet", str(tmp_path))


def kernels(name):
    rng = np.random.default_rng(1)
    return {
        layer: (
            rng.standard_normal((3, 3, channels, width)).astype(np.float32),
            rng.standard_normal(width).astype(np.float32),
        )
        for layer, channels, width in encoder_layers(name, VGG_WIDTHS, ALL_CONVOLUTIONS)
    }


def test_keras_own_file_is_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    wanted = kernels("vgg16")
    with h5py.File(str(tmp_path / "vgg16.h5"), "w") as file:
        for layer, (kernel, bias) in wanted.items():
            group = file.create_group(layer)
            group[layer + "_W_1:0"], group[layer + "_b_1:0"] = kernel, bias
        file.create_group("block1_pool")
    found = vgg_weights.load("vgg16", str(tmp_path / "vgg16.h5"))
    for layer, (kernel, bias) in wanted.items():
        assert (found[layer + "_kernel"] == kernel).all() and (found[layer + "_bias"] == bias).all()
    with pytest.raises(WeightsError, match="does not hold vgg19: block3_conv4_kernel should have the shape"):
        vgg_weights.load("vgg19", str(tmp_path / "vgg16.h5"))


def test_the_teacher_is_read(teacher):
    assert vgg_weights.load("vgg16", teacher)["block5_conv3_kernel"].shape == (3, 3, 512, 512)


def test_damaged_and_missing_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="weights fetch vgg19"):
        vgg_weights.load("vgg19")
    for name in ("a.h5", "a.npz"):
        (tmp_path / name).write_bytes(b"no weights")
        with pytest.raises(WeightsError, match="cannot read the weights .*" + name):
            vgg_weights.load("vgg16", str(tmp_path / name))
    folder = tmp_path / "ros_style_transfer"
    folder.mkdir()
    (folder / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5").write_bytes(b"half")
    with pytest.raises(WeightsError, match="is damaged: 4 bytes"):
        vgg_weights.load("vgg16")
