"""Runs another peer on oslo.messaging's former `pika` driver: pika_shims.py SCRIPT ARGUMENT...

That driver was written for Python 2 and the first releases of Python 3. These shims replace what
later releases removed or reject; the driver's wire format is unchanged. With --eventlet among the
arguments the script monkey-patches the process first, as services of that time did; only then does
a listener resume after a lost connection.
"""
import collections.abc
import runpy
import sys
import types


def patch_threads():
    """Patches the process before any other import, so that every lock is a green one."""
    import eventlet
    # Later releases of eventlet wait before a write to a pipe, older ones after it, and only one
    # thread may wait. The driver wakes its connection through a pipe from many threads.
    eventlet.monkey_patch(os=False)


def patch_language():
    """Restores names and avoids syntax that Python removed."""
    for name in ('Callable', 'Mapping'):  # moved in Python 3.3, gone since 3.10
        setattr(collections, name, getattr(collections.abc, name))
    # The module has an attribute named `async`, a keyword since 3.7; pika works without it.
    sys.modules['pika.adapters.libev_connection'] = None


def patch_comparison():
    """Avoids a comparison of None with a number, which Python 3 rejects."""
    from oslo_messaging._drivers.pika_driver import pika_engine
    declare = pika_engine.PikaEngine.declare_queue_binding_by_channel

    # Notification queues have None, which Python 2 orders below 0: they do not expire.
    def declare_without_none(self, channel, exchange, queue, routing_key, exchange_type,
                             queue_expiration, durable):
        declare(self, channel, exchange, queue, routing_key, exchange_type,
                queue_expiration or 0, durable)

    pika_engine.PikaEngine.declare_queue_binding_by_channel = declare_without_none


def patch_futures():
    """Lets a future be set twice, as the driver does for each consumer; Python 3.8 forbids it."""
    import futurist
    from oslo_messaging._drivers.pika_driver import pika_connection

    class Future(futurist.Future):
        def _reopen(self):
            if self._state == 'FINISHED':
                self._state = 'PENDING'

        def set_result(self, result):
            with self._condition:
                self._reopen()
                super().set_result(result)

        def set_exception(self, exception):
            with self._condition:
                self._reopen()
                super().set_exception(exception)

    pika_connection.futurist = types.SimpleNamespace(Future=Future)


def main():
    sys.argv = sys.argv[1:]
    if '--eventlet' in sys.argv:
        patch_threads()
    patch_language()
    patch_comparison()
    patch_futures()
    runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
    main()
