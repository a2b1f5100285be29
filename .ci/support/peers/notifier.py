"""An oslo.messaging notifier driven by lines of JSON.

Each line is a notification, each answer one line:

    {"priority": "info", "event_type": "e", "payload": {}, "driver": "messagingv2"}
    {}

publisher_id, topics and ctxt (which is redacted to itself) may be given; count repeats it.
"""
import json

import oslo_messaging

import oslo


class Context:
    """A context of a service; oslo.messaging sends what its redacted copy holds."""

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
        verb = getattr(notifier, command['priority'])
        for _ in range(command.get('count', 1)):
            verb(Context(command.get('ctxt', {})), command['event_type'], command['payload'])
        oslo.say('{}')
    oslo.leave()


if __name__ == '__main__':
    main()
