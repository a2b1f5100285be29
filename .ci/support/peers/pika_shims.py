"""Runs another peer on oslo.messaging's former `pika` driver: pika_shims.py SCRIPT ARGUMENT...

That driver was written for Python 2 and the first releases of Python 3. What is mended here is what
later ones took away or refuse; what goes over the wire is the driver's own. With --eventlet among
the arguments the process is patched first, as services of that time were: a listener takes up its
work after a lost connection only then.
"""
import collections.abc
import runpy
import sys
import types


def patch_threads():
    """Before anything else is imported, so that every lock is a green one."""
    import eventlet
    # A later eventlet waits before it writes to a pipe, as of old it did after, and allows no two
    # that wait. The driver wakes its connection through one from many threads.
    eventlet.monkey_patch(os=False)


def mend_language():
    """Names and syntax that Python gave up."""
    for name in ('Callable', 'Mapping'):  # moved in Python 3.3, gone since 3.10
        setattr(collections, name, getattr(collections.abc, name))
    # It has an attribute named `async`, a keyword since 3.7; pika does without it if it must.
    sys.modules['pika.adapters.libev_connection'] = None


def mend_comparison():
    """Python 3 does not compare None with a number."""
    from oslo_messaging._drivers.pika_driver import pika_engine
    declare = pika_engine.PikaEngine.declare_queue_binding_by_channel

    # Notification queues have None, which Python 2 took for less than 0: they do not expire.
    def declare_without_none(self, channel, exchange, queue, routing_key, exchange_type,
                             queue_expiration, durable):
        declare(self, channel, exchange, queue, routing_key, exchange_type,
                queue_expiration or 0, durable)

    pika_engine.PikaEngine.declare_queue_binding_by_channel = declare_without_none


def mend_futures():
    """Since Python 3.8 a future is done once; the driver waits for each consumer on one twice."""
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
    mend_language()
    mend_comparison()
    mend_futures()
    runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
    main()
