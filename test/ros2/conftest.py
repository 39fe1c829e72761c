"""Nodes that several tests share."""

import os

import pytest
from graph import Client, init, start, wait_for

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(100 + os.getpid() % 100))  # not the user's


@pytest.fixture(scope="session")
def client():
    init()
    client = Client()
    yield client
    client.close()


@pytest.fixture(autouse=True)
def forget(client):
    """No test listens any more when the next one begins."""
    yield
    client.forget()


@pytest.fixture(scope="session")
def output_dir(tmp_path_factory):
    return str(tmp_path_factory.mktemp("output"))


@pytest.fixture(scope="session")
def node(client, output_dir):
    """A node that paints ``/camera/image_raw`` at 64 pixels, and is ready."""
    # Longer queues, so that a busy machine loses no message before it is counted.
    deep = {
        "qos_overrides./camera/image_raw.subscription.depth": 50,
        "qos_overrides./style_transfer/image.publisher.depth": 50,
    }
    process = start(
        remap={"image": "/camera/image_raw"}, max_side=64, output_dir=output_dir, render_share="equal", **deep
    )
    status = client.status()
    wait_for(lambda: process.process.poll() is not None or status and status[-1].state not in ("loading", ""))
    assert process.process.poll() is None, process.lines
    yield process
    assert process.end() == 0, process.lines
