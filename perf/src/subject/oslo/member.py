"""A client or a server of a measurement that runs oslo.messaging, on its `rabbit` driver.

The first line of standard input is JSON and is its setup; a line with the driver's options and
`ready` answer it. A server serves until standard input ends. Each further line asks a client for
one measurement, which it answers with one line; in between, its threads wait. The process ends
soon after standard input does, whatever its threads do. Not here: what the figures mean.
"""
import collections
import functools
import itertools
import logging
import os
import queue
import random
import string
import time

import oslo_messaging

# Time from the end of standard input to the end of the process, at most.
ENDING_S = 1.2
# Pause of a thread between two attempts at its first operation.
RETRY_S = 0.1
STEP_MS = 100
STEP_NS = STEP_MS * 1_000_000
# How long operations of an open loop may begin after the window in which they were due.
LATE_NS = 5_000_000_000
# Latencies are rounded to this many significant bits, and stand for the middle of their bucket:
# they are off by 0.8 % at most.
SIGNIFICANT_BITS = 7
# Seconds until the broker deletes the reply and fanout queues that a run leaves; 1800 by default.
QUEUE_TTL_S = 10

# Threads of the executor of a server of `oslo-fast`; 64 by default. With one thread, a server calls
# its methods one after the other, as an inline executor does. Gain in interleaved windows, with
# release 18.3.1: rate of calls x5 +11 % (+3 to +18), x1 +9 % (+6 to +13); CPU time of the server
# -27 % and -13 %. Two threads gain about half of that CPU time.
# Not set, because no gain was found: `rpc_conn_pool_size` (2, 3: a loss; 5), `conn_pool_min_size`,
# `direct_mandatory_flag`, `rabbit_qos_prefetch_count` (1, 100), `amqp_durable_queues` (a loss).
# Not set, because dead peers would no longer be detected: `heartbeat_timeout_threshold` 0, which
# saves 4 to 8 % of a server's CPU time.
FAST_EXECUTOR_THREADS = 1

LETTERS = bytes(string.ascii_lowercase.encode()[value % 26] for value in range(256))


def options(setup):
    """The options of the subject. The exchange is a default of the process."""
    oslo_messaging.set_transport_defaults(setup['exchange'])
    conf = configuration('leveret-perf')
    conf.set_override('rabbit_transient_queues_ttl', QUEUE_TTL_S, group=GROUP)
    return conf


def report_options(conf):
    """Prints the options in effect; called when all parts have registered theirs."""
    effective = dict(conf[GROUP].items())
    for name in ('control_exchange', 'executor_thread_pool_size', 'rpc_response_timeout'):
        if name in conf:
            effective[name] = conf[name]
    say({'options': effective})


class Input:
    """Lines of standard input, read by a thread that also ends the process."""

    def __init__(self):
        self.is_over = threading.Event()
        self._lines = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def __iter__(self):
        return iter(self._lines.get, None)

    def _read(self):
        for line in sys.stdin:
            self._lines.put(line)
        self.is_over.set()
        self._lines.put(None)
        time.sleep(ENDING_S)
        os._exit(0)


class RpcEndpoint:
    def info(self, ctxt, message):
        return message


class NotificationEndpoint:
    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        pass


def serve(setup, lines):
    conf = options(setup)
    if setup['operation'] == 'notify':
        transport = oslo_messaging.get_notification_transport(conf, setup['url'])
        target = oslo_messaging.Target(topic=setup['topic'])
        server = oslo_messaging.get_notification_listener(
            transport, [target], [NotificationEndpoint()], executor='threading')
    else:
        transport = oslo_messaging.get_rpc_transport(conf, setup['url'])
        target = oslo_messaging.Target(topic=setup['topic'], server=setup['server'])
        server = oslo_messaging.get_rpc_server(
            transport, target, [RpcEndpoint()], executor='threading')
    if setup['subject'] == 'oslo-fast':
        # Registered by the server, and read by its start.
        conf.set_override('executor_thread_pool_size', FAST_EXECUTOR_THREADS)
    report_options(conf)
    server.start()
    say('ready')
    for _ in lines:
        pass
    server.stop()
    server.wait()
    transport.cleanup()


class Faults(logging.Handler):
    """What the notifier logs: it raises no exception when it cannot send."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.texts = collections.deque()
        logging.getLogger('oslo_messaging.notify').addHandler(self)

    def emit(self, record):
        self.texts.append(record.getMessage())


def notification(transport, topic):
    """An operation that sends one notification, and raises what the notifier only logs."""
    notifier = oslo_messaging.Notifier(
        transport, publisher_id='perf', driver='messagingv2', topics=[topic])
    info, faults = notifier.info, Faults().texts

    def notify(message):
        info({}, 'info', {'message': message})
        if faults:
            raise RuntimeError(faults.popleft())

    return notify


def operation(setup, conf):
    """The transport, and the operation as a function of the argument `message`."""
    kind = setup['operation']
    if kind == 'notify':
        transport = oslo_messaging.get_notification_transport(conf, setup['url'])
        return transport, notification(transport, setup['topic'])
    transport = oslo_messaging.get_rpc_transport(conf, setup['url'])
    client = oslo_messaging.get_rpc_client(
        transport, oslo_messaging.Target(topic=setup['topic']))
    send = {
        'call': client.call,
        'cast': client.cast,
        'fanout': client.prepare(fanout=True).cast,
    }[kind]
    return transport, functools.partial(send, {}, 'info')


class Window:
    """The times of one measurement, in nanoseconds of the monotonic clock."""

    def __init__(self, warmup_s, seconds, rate):
        self.seconds = seconds
        self.start = time.perf_counter_ns()
        self.begin = self.start + round(warmup_s * 1e9)
        self.end = self.begin + round(seconds * 1e9)
        self.pause = None if rate is None else 1e9 / rate
        # Numbers of the operations of an open loop; to take one is atomic.
        self.numbers = itertools.count()


class Worker:
    """A thread that does operations one after the other while a window lasts.

    It only notes times; they are counted after the window.
    """

    def __init__(self, operate, texts, report_error):
        self._operate, self._texts, self._report_error = operate, texts, report_error
        self._windows, self._ended = queue.SimpleQueue(), queue.SimpleQueue()
        self._warmed_up = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def wait_until_warm(self):
        self._warmed_up.wait()

    def start(self, window):
        self._windows.put(window)

    def join(self):
        """Waits for the last operation of the window.

        Returns when each operation was due, started and completed, and when each error occurred.
        """
        return self._ended.get()

    def _run(self):
        while not self._first():
            time.sleep(RETRY_S)
        self._warmed_up.set()
        while True:
            window = self._windows.get()
            run = self._run_closed if window.pause is None else self._run_open
            self._ended.put(run(window))

    def _first(self):
        try:
            self._operate(message=next(self._texts))
            return True
        except Exception as error:
            self._report_error(error)
            return False

    def _run_closed(self, window):
        operate, now, end = self._operate, time.perf_counter_ns, window.end
        next_text = self._texts.__next__
        starts, completions, errors = [], [], []
        note_start, note_completion = starts.append, completions.append
        completed = 0
        while completed < end:
            text = next_text()
            started = now()
            try:
                operate(message=text)
            except Exception as error:
                completed = now()
                errors.append(completed)
                self._report_error(error)
            else:
                completed = now()
                note_start(started)
                note_completion(completed)
        return starts, starts, completions, errors

    def _run_open(self, window):
        operate, now, sleep, end = self._operate, time.perf_counter_ns, time.sleep, window.end
        next_text, next_number = self._texts.__next__, window.numbers.__next__
        begin, pause = window.start, window.pause
        dues, starts, completions, errors = [], [], [], []
        while True:
            due = begin + int(next_number() * pause)
            started = now()
            # What was due in the window is done after it, but not for ever.
            if due >= end or started >= end + LATE_NS:
                return dues, starts, completions, errors
            if started < due:
                sleep((due - started) / 1e9)
                started = now()
            text = next_text()
            try:
                operate(message=text)
            except Exception as error:
                errors.append(now())
                self._report_error(error)
            else:
                completions.append(now())
                starts.append(started)
                dues.append(due)


def histogram(latencies):
    """Latencies as ordered pairs of their bucket's middle and how many they are."""
    counts = collections.Counter()
    for latency in latencies:
        shift = max(0, latency.bit_length() - SIGNIFICANT_BITS)
        counts[(latency >> shift << shift) + (1 << shift >> 1)] += 1
    return sorted(counts.items())


class Client:
    def __init__(self, setup, lines):
        self._rate, self._is_over = setup['rate'], lines.is_over
        conf = options(setup)
        self._transport, operate = operation(setup, conf)
        report_options(conf)
        self._error_lock, self._has_error = threading.Lock(), False
        seeded = random.Random(setup['seed'])
        texts = [seeded.randbytes(size).translate(LETTERS).decode() for size in setup['sizes']]
        self._workers = []
        for _ in range(setup['threads']):
            place = seeded.randrange(len(texts))
            turns = itertools.cycle(texts[place:] + texts[:place])
            self._workers.append(Worker(operate, turns, self._report_error))

    def _report_error(self, error):
        """Prints the first error of the process."""
        with self._error_lock:
            is_first, self._has_error = not self._has_error, True
        if is_first:
            say({'error': f'{type(error).__name__}: {error}'})

    def wait_until_warm(self):
        for worker in self._workers:
            worker.wait_until_warm()

    def measure(self, warmup_s, seconds, **_):
        """Runs the threads for one window; `None` if standard input ended meanwhile."""
        window = Window(warmup_s, seconds, self._rate)
        for worker in self._workers:
            worker.start(window)
        cpu_at_begin = self._cpu_at(window.begin)
        say({'begins': None})
        cpu_at_end = self._cpu_at(window.end)
        say({'ends': None})
        if self._is_over.is_set():
            return None
        (first, used_at_first), (last, used_at_last) = cpu_at_begin, cpu_at_end
        # This thread wakes some time after it should; the CPU time is that of the window's length.
        cpu_us = (used_at_last - used_at_first) / (last - first) * seconds * 1e6
        return self._sample(window, [worker.join() for worker in self._workers], cpu_us)

    def _cpu_at(self, instant):
        """Waits for the instant. Returns the time and the CPU time of the process then."""
        self._is_over.wait(max(0, instant - time.perf_counter_ns()) / 1e9)
        return time.perf_counter_ns(), time.process_time_ns()

    def _sample(self, window, ended, cpu_us):
        begin, end = window.begin, window.end
        steps = [0] * -(-(end - begin) // STEP_NS)
        longest = [None] * len(steps)
        latencies, services, errors = [], [], 0
        for dues, starts, completions, failures in ended:
            # An operation that fails after the window was in flight when it ended.
            errors += sum(failed >= begin for failed in failures)
            for due, started, completed in zip(dues, starts, completions):
                if begin <= completed < end:
                    steps[(completed - begin) // STEP_NS] += 1
                # In an open loop an operation belongs to the time at which it was due.
                counted_at = completed if window.pause is None else due
                if begin <= counted_at < end:
                    latency = completed - due
                    latencies.append(latency)
                    services.append(completed - started)
                    step = (counted_at - begin) // STEP_NS
                    longest[step] = max(longest[step] or 0, latency)
        return {
            'messages': sum(steps),
            'errors': errors,
            'seconds': window.seconds,
            'threads': len(ended),
            'cpu_us': round(cpu_us, 1),
            'histogram': histogram(latencies),
            'service': None if window.pause is None else histogram(services),
            'step_ms': STEP_MS,
            'steps': steps,
            'max_us': [None if most is None else most / 1000 for most in longest],
        }

    def close(self):
        self._transport.cleanup()


def send(setup, lines):
    client = Client(setup, lines)
    client.wait_until_warm()
    say('ready')
    for line in lines:
        sample = client.measure(**json.loads(line)['measure'])
        if sample is None:
            return
        say({'sample': sample})
    client.close()


def main():
    logging.basicConfig(level=logging.ERROR)
    setup = json.loads(sys.stdin.readline())
    {'server': serve, 'client': send}[setup['role']](setup, Input())
    os._exit(0)


main()
