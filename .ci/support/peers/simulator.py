"""A small counterpart of oslo.messaging's simulator: the same messages, methods and topics.

    simulator.py --url URL [--topic T] [--server S] MODE [-p THREADS] [-m MESSAGES] [...]

MODE is rpc-server, rpc-client, notify-server, batch-notify-server or notify-client. Prints `ready`
when it listens or is about to send; a client then prints {"sent", "errors", "returned"} and ends; a
server prints {"heard"} when its standard input ends, or when all clients that announced themselves
(--sync) have finished.
"""
import json
import socket
import sys
import threading
import time

import oslo_messaging

import oslo


class Counters:
    """Counters that any thread may change."""

    def __init__(self):
        self._lock = threading.Lock()
        self.counts = {}

    def add(self, name, count=1):
        with self._lock:
            self.counts[name] = self.counts.get(name, 0) + count


class Handler:
    """The endpoint of every server: RPC, notifications, batches."""

    def __init__(self, requeue, batches):
        self._requeue, self._sent_back = requeue, set()
        self._running, self.done = set(), threading.Event()
        self.counters = Counters()
        if batches:
            self.info = self._batch

    def info(self, ctxt, *notification, message=None):
        if message is None:
            publisher_id, event_type, message, metadata = notification
            assert publisher_id.startswith('publisher-') and event_type == 'compute.start'
            if self._requeue and message[0] not in self._sent_back:
                self._sent_back.add(message[0])
                return oslo_messaging.NotificationResult.REQUEUE
            self._note(message)
            return oslo_messaging.NotificationResult.HANDLED
        return self._note(message)

    def _batch(self, messages):
        for one in messages:
            self._note(one['payload'])

    def _note(self, message):
        seq, cargo, sent, heard, back = message
        assert isinstance(cargo, str) and sent > 0 and heard == 0 and back == 0, message
        self.counters.add('heard')
        return [seq, cargo, sent, time.time(), back]

    def sync_start(self, ctxt, message):
        self._running.add(message['id'])

    def sync_done(self, ctxt, message):
        self._running.discard(message['id'])
        if not self._running:
            self.done.set()


def serve(args):
    handler = Handler(args.requeue, args.mode == 'batch-notify-server')
    if args.mode == 'rpc-server':
        target = oslo_messaging.Target(topic=args.topic, server=args.server)
        server = oslo_messaging.get_rpc_server(
            oslo.transport(args), target, [handler], executor='threading')
    else:
        transport = oslo.notification_transport(args)
        common = {'executor': 'threading', 'allow_requeue': args.requeue}
        targets = [oslo_messaging.Target(topic=args.topic)]
        if args.mode == 'notify-server':
            server = oslo_messaging.get_notification_listener(
                transport, targets, [handler], **common)
        else:
            server = oslo_messaging.get_batch_notification_listener(
                transport, targets, [handler], batch_size=1000, batch_timeout=1, **common)
    server.start()
    oslo.say('ready')
    threading.Thread(target=lambda: (sys.stdin.read(), handler.done.set()), daemon=True).start()
    handler.done.wait()
    time.sleep(1)
    oslo.say(json.dumps({'heard': handler.counters.counts.get('heard', 0)}))


def send_rpc(args, transport, number, counters):
    target = oslo_messaging.Target(topic=args.topic, server=args.server, fanout=args.is_fanout)
    client = oslo_messaging.get_rpc_client(transport, target, timeout=args.timeout)
    announce = client.call if args.sync == 'call' else client.prepare(fanout=True).cast
    sync = {'id': 'client_%d %x@%s' % (number, time.time_ns(), socket.gethostname())}
    if args.sync:
        announce({}, 'sync_start', message=sync)
    for seq in range(args.messages):
        message = [seq, 'x' * (seq % 700 + 1), time.time(), 0, 0]
        try:
            if args.is_cast or args.is_fanout:
                client.cast({}, 'info', message=message)
            else:
                back = client.call({}, 'info', message=message)
                assert back[:3] == message[:3] and back[3] > 0, back
                counters.add('returned')
            counters.add('sent')
        except Exception:
            counters.add('errors')
    if args.sync:
        announce({}, 'sync_done', message=sync)


def send_notifications(args, transport, number, counters):
    notifier = oslo_messaging.Notifier(
        transport, driver='messaging', publisher_id='publisher-%d' % number, topics=[args.topic])
    for seq in range(args.messages):
        notifier.info({}, 'compute.start', [seq, 'x' * (seq % 700 + 1), time.time(), 0, 0])
        counters.add('sent')


def send(args):
    if args.mode == 'rpc-client':
        transport, work = oslo.transport(args), send_rpc
    else:
        transport, work = oslo.notification_transport(args), send_notifications
    oslo.say('ready')
    counters = Counters()
    threads = [threading.Thread(target=work, args=(args, transport, number, counters))
               for number in range(args.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    oslo.say(json.dumps({name: counters.counts.get(name, 0)
                         for name in ('sent', 'errors', 'returned')}))


def main():
    parser = oslo.arguments(__doc__)
    parser.add_argument('--topic', default='profiler_topic')
    parser.add_argument('--server', default='profiler_server')
    parser.add_argument('mode')
    parser.add_argument('-p', '--threads', type=int, default=1)
    parser.add_argument('-m', '--messages', type=int, default=1)
    parser.add_argument('--timeout', type=float, default=30)
    parser.add_argument('--is-cast', action='store_true')
    parser.add_argument('--is-fanout', action='store_true')
    parser.add_argument('--sync', choices=('call', 'fanout'))
    parser.add_argument('--requeue', action='store_true')
    args = parser.parse_args()
    (serve if args.mode.endswith('-server') else send)(args)
    oslo.leave()


if __name__ == '__main__':
    main()
