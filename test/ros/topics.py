"""What the node's tests share: topics whose messages are kept, waiting, and signals as children expect them."""

import signal
import threading
import time

import rospy

# A script's background jobs ignore Ctrl-C, and so would every process that a test starts in order to interrupt it.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Topic:
    """Keeps what a topic brings while it is open."""

    def __init__(self, name, kind):
        self.messages, self._came = [], threading.Condition()
        self._subscriber = rospy.Subscriber(name, kind, self._store, queue_size=100, buff_size=2**24)

    def _store(self, message):
        with self._came:
            self.messages.append(message)
            self._came.notify_all()

    def wait(self, wanted=lambda message: True, timeout=60.0, seen=None):
        """The first message from now on (or from number ``seen``) that is ``wanted``."""
        deadline = time.monotonic() + timeout
        with self._came:
            seen = len(self.messages) if seen is None else seen
            while True:
                for message in self.messages[seen:]:
                    if wanted(message):
                        return message
                seen = len(self.messages)
                if not self._came.wait(max(0.0, deadline - time.monotonic())):
                    raise AssertionError("nothing wanted came within %g s" % timeout)

    def wait_for(self, count, timeout=60.0):
        """Until ``count`` more messages have come; the last."""
        with self._came:
            wanted = len(self.messages) + count
            assert self._came.wait_for(lambda: len(self.messages) >= wanted, timeout), "nothing came"
            return self.messages[-1]

    def connected(self):
        return self._subscriber.get_num_connections() > 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._subscriber.unregister()


def wait_until(condition, timeout=60.0):
    """Whether ``condition`` () came true in time."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
