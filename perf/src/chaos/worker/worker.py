"""A client or a server process of `chaos` that runs oslo.messaging, on its `rabbit` driver.

The first line of standard input is JSON and is its setup; `ready` answers it. A client sends
every stream at its rate, as far as its threads go, and prints how each request ended; a server
prints what it executes. When standard input ends, it finishes what it has begun and ends. Not
here: counting.
"""
import concurrent.futures
import logging
import os
import time

import oslo_messaging

# Most requests of a stream in flight; each needs a thread and a connection.
IN_FLIGHT = 16
REPORT_INTERVAL = 0.025


def now():
    """Microseconds of the monotonic clock, which all processes share."""
    return time.monotonic_ns() // 1000


class Reporter:
    """Collects what is to be reported, and prints it on a thread of its own."""

    def __init__(self):
        self._lock = threading.Lock()
        self._ended, self._executed = [], []
        threading.Thread(target=self._run, daemon=True).start()

    def ended(self, id, begun, label):
        with self._lock:
            self._ended.append([id, begun, now(), label])

    def executed(self, id, begun):
        with self._lock:
            self._executed.append([id, begun, now()])

    def flush(self):
        with self._lock:
            ended, self._ended = self._ended, []
            executed, self._executed = self._executed, []
        if ended:
            say({'ended': ended})
        if executed:
            say({'executed': executed})

    def _run(self):
        while True:
            time.sleep(REPORT_INTERVAL)
            self.flush()


def options(setup, classic):
    conf = configuration('leveret-chaos')
    conf.set_override('heartbeat_timeout_threshold', setup['heartbeat'], group=GROUP)
    conf.set_override('rpc_conn_pool_size', IN_FLIGHT * len(setup['streams']), group=GROUP)
    if classic:
        conf.set_override('amqp_durable_queues', True, group=GROUP)
    else:
        conf.set_override('rabbit_quorum_queue', True, group=GROUP)
        conf.set_override('rabbit_transient_quorum_queue', True, group=GROUP)
    return conf


class Endpoint:
    def __init__(self, reporter):
        self._reporter = reporter

    def do(self, ctxt, id, begun):
        self._reporter.executed(id, begun)
        return id

    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        self._reporter.executed(payload['id'], payload['begun'])


def serve(setup, reporter):
    parts = []
    for consumer in ('requests', 'once', 'classic'):
        transport = oslo_messaging.get_rpc_transport(
            options(setup, consumer == 'classic'), setup['url'])
        target = oslo_messaging.Target(
            topic=setup['topics'][consumer], server=f'server-{setup["number"]}')
        parts.append(oslo_messaging.get_rpc_server(
            transport, target, [Endpoint(reporter)], executor='threading'))
    for consumer in ('events', 'classic-events'):
        transport = oslo_messaging.get_notification_transport(
            options(setup, consumer == 'classic-events'), setup['url'])
        target = oslo_messaging.Target(topic=setup['topics'][consumer])
        parts.append(oslo_messaging.get_notification_listener(
            transport, [target], [Endpoint(reporter)], executor='threading'))
    for part in parts:
        part.start()
    say('ready')
    for _ in sys.stdin:
        pass
    for part in parts:
        part.stop()
    time.sleep(1)


class Stream:
    """One stream: what it sends, at its rate."""

    def __init__(self, setup, stream, transports, reporter):
        self._name, self._id = stream['stream'], stream['first_id']
        self._pause, self._reporter = 1 / setup['rate'], reporter
        classic = self._name.startswith('classic-')
        rpc, notes = transports[classic]
        if self._name.endswith('notification'):
            notifier = oslo_messaging.Notifier(
                notes, publisher_id='chaos', driver='messagingv2', topics=[stream['topic']],
                retry=-1)
            self._send = lambda args: notifier.info({}, 'event', args)
            return
        target = oslo_messaging.Target(topic=stream['topic'])
        retry = 0 if self._name.endswith('-once') else None
        client = oslo_messaging.get_rpc_client(
            rpc, target, timeout=setup['timeout'], retry=retry)
        if self._name == 'fanout':
            client = client.prepare(fanout=True)
        elif 'cast' in self._name:
            # A cast is confirmed even if there is no queue for it, unless that is asked for.
            options = oslo_messaging.TransportOptions(at_least_once=True)
            client = oslo_messaging.get_rpc_client(
                rpc, target, timeout=setup['timeout'], retry=retry, transport_options=options)
        send = client.call if 'call' in self._name else client.cast
        self._send = lambda args: send({}, 'do', **args)

    def run(self, stop, threads):
        room = threading.Semaphore(IN_FLIGHT)
        due = time.monotonic()
        while not stop.is_set():
            due += self._pause
            stop.wait(max(0, due - time.monotonic()))
            due = max(due, time.monotonic() - self._pause)
            if room.acquire(blocking=False):
                threads.submit(self._send_one, self._id, room)
                self._id += 1

    def _send_one(self, id, room):
        begun = now()
        try:
            self._send({'id': id, 'begun': begun})
            label = 'ok'
        except Exception as error:  # whatever it is: it is counted
            label = type(error).__name__
        self._reporter.ended(id, begun, label)
        room.release()


def send(setup, reporter):
    transports = []
    for classic in (False, True):
        conf = options(setup, classic)
        transports.append((oslo_messaging.get_rpc_transport(conf, setup['url']),
                           oslo_messaging.get_notification_transport(conf, setup['url'])))
    streams = [Stream(setup, stream, transports, reporter) for stream in setup['streams']]
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(IN_FLIGHT * len(streams)) as threads:
        loads = [threading.Thread(target=stream.run, args=(stop, threads)) for stream in streams]
        for load in loads:
            load.start()
        say('ready')
        for _ in sys.stdin:
            pass
        stop.set()
        for load in loads:
            load.join()


def main():
    # What it logs of faults is expected.
    logging.disable(logging.CRITICAL)
    setup = json.loads(sys.stdin.readline())
    oslo_messaging.set_transport_defaults(setup['tag'])
    reporter = Reporter()
    {'server': serve, 'client': send}[setup['role']](setup, reporter)
    reporter.flush()
    sys.stdout.flush()
    os._exit(0)


main()
