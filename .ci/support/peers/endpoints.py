"""The endpoints of rpc_server.py and the exceptions they raise.

A separate module: its exceptions have a module name other than __main__, so a client that allows
`endpoints` can rebuild them.
"""
import threading
import time

import oslo_messaging


class BoomError(Exception):
    """An exception with keyword arguments, which oslo.messaging sends with it."""

    def __init__(self, message, **kwargs):
        super().__init__(message)
        self.kwargs = kwargs


class Record:
    """The casts this server received, in order of arrival."""

    def __init__(self):
        self._lock = threading.Lock()
        self._notes = []

    def add(self, note):
        with self._lock:
            self._notes.append(note)

    def take(self, clear):
        with self._lock:
            notes = list(self._notes)
            if clear:
                self._notes.clear()
            return notes


class Plain:
    """Null namespace, version 1.0."""

    target = oslo_messaging.Target(version='1.0')
    where = 'plain'

    def __init__(self, server, record):
        self._server = server
        self._record = record

    def echo(self, ctxt, arg=None):
        return arg

    def add(self, ctxt, a, b):
        return a + b

    def ctxt(self, ctxt):
        return ctxt

    def none(self, ctxt):
        return None

    def whoami(self, ctxt):
        return {'server': self._server, 'endpoint': self.where}

    def note(self, ctxt, arg=None):
        self._record.add(arg)

    def noted(self, ctxt, clear=False):
        """Returns the arguments of `note` so far, at all endpoints of this server."""
        return self._record.take(clear)

    def noted_count(self, ctxt, clear=False):
        return len(self._record.take(clear))

    def size(self, ctxt, arg):
        return len(arg)

    def blob(self, ctxt, size):
        return 'x' * size

    def slow(self, ctxt, seconds):
        time.sleep(seconds)
        return 'done'

    def boom(self, ctxt):
        raise ValueError('bad value', 42)

    def boomkw(self, ctxt):
        raise BoomError('kaput', code=7)

    @oslo_messaging.expected_exceptions(KeyError)
    def expected(self, ctxt):
        raise KeyError('expected-key')


class Versioned(Plain):
    """Namespace ns1, version 1.5."""

    target = oslo_messaging.Target(namespace='ns1', version='1.5')
    where = 'ns1'
