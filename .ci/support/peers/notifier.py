"""An oslo.messaging notifier driven by lines of JSON.

Each line is a notification; the peer answers each with one line:

    {"priority": "info", "event_type": "e", "payload": {}, "driver": "messagingv2"}
    {}

publisher_id, topics and ctxt (its redacted copy is itself) are optional; count repeats the
notification.
"""
import json

import oslo_messaging

import oslo


class Context:
    """A context of a service; oslo.messaging sends its redacted copy."""

    def __init__(self, values):
        self._values = values

    def redacted_copy(self):
        return self

    def to_dict(self):
        return self._values


class Plain(oslo_messaging.NoOpSerializer):
    def serialize_context(self, context):
        return context.to_dict() if isinstance(context, Context) else context


def main():
    args = oslo.arguments(__doc__).parse_args()
    transport = oslo.notification_transport(args)
    oslo.say('ready')
    for line in oslo.lines(args):
        command = json.loads(line)
        notifier = oslo_messaging.Notifier(
            transport, publisher_id=command.get('publisher_id', 'python.host1'),
            driver=command.get('driver', 'messagingv2'), serializer=Plain(),
            topics=command.get('topics', ['notifications']))
        notify = getattr(notifier, command['priority'])
        for _ in range(command.get('count', 1)):
            notify(Context(command.get('ctxt', {})), command['event_type'], command['payload'])
        oslo.say('{}')
    oslo.leave()


if __name__ == '__main__':
    main()
