"""An oslo.messaging notification listener that reports what it received.

Prints `ready` once it consumes. A line with a number waits for that many notifications; the answer
is a list of {"priority", "ctxt", "publisher_id", "event_type", "payload", "metadata"}, or of lists
of them with --batch-size. --requeue N requeues the first N.
"""
import json
import threading

import oslo_messaging

import oslo

PRIORITIES = ('audit', 'debug', 'info', 'warn', 'error', 'critical', 'sample')


class Received:
    """The notifications the endpoints received, and how many more they requeue."""

    def __init__(self, requeue):
        self._changed = threading.Condition()
        self._all = []
        self._requeue = requeue

    def add(self, notification):
        with self._changed:
            if self._requeue > 0:
                self._requeue -= 1
                return oslo_messaging.NotificationResult.REQUEUE
            self._all.append(notification)
            self._changed.notify_all()
            return oslo_messaging.NotificationResult.HANDLED

    def take(self, count):
        with self._changed:
            self._changed.wait_for(lambda: len(self._all) >= count, timeout=30)
            received, self._all = self._all, []
            return received


def endpoint(received, batches):
    """Returns an object with a method for each priority."""
    class Endpoint:
        pass

    def single(priority):
        def method(self, ctxt, publisher_id, event_type, payload, metadata):
            return received.add({
                'priority': priority, 'ctxt': ctxt, 'publisher_id': publisher_id,
                'event_type': event_type, 'payload': payload, 'metadata': metadata})
        return method

    def batch(priority):
        return lambda self, messages: received.add(
            [dict(message, priority=priority) for message in messages])

    for priority in PRIORITIES:
        setattr(Endpoint, priority, (batch if batches else single)(priority))
    return Endpoint()


def main():
    parser = oslo.arguments(__doc__)
    parser.add_argument('--topic', action='append', required=True)
    parser.add_argument('--pool')
    parser.add_argument('--requeue', type=int, default=0)
    parser.add_argument('--batch-size', type=int)
    args = parser.parse_args()
    transport = oslo.notification_transport(args)
    targets = [oslo_messaging.Target(topic=topic) for topic in args.topic]
    received = Received(args.requeue)
    endpoints = [endpoint(received, args.batch_size is not None)]
    common = {'executor': oslo.executor(args), 'allow_requeue': args.requeue > 0,
              'pool': args.pool}
    if args.batch_size is None:
        listener = oslo_messaging.get_notification_listener(
            transport, targets, endpoints, **common)
    else:
        listener = oslo_messaging.get_batch_notification_listener(
            transport, targets, endpoints, batch_size=args.batch_size, batch_timeout=1, **common)
    listener.start()
    oslo.say('ready')
    for line in oslo.lines(args):
        oslo.say(json.dumps(received.take(int(line))))
    oslo.leave()


if __name__ == '__main__':
    main()
