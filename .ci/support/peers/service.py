"""One process of a small service: an API, a worker or an agent, as ROLE says.

An order is called at the API, which calls `build` at any worker, which calls `attach` at the agent
of HOST; worker and agent cast `progress` at the API, each step ends with a notification, and the
API casts configuration at all workers and agents. Prints `ready` once it serves; when its standard
input ends, it stops in order and prints what it did: {method: [argument, ...]}.
"""
import json
import sys
import threading

import oslo_messaging

import oslo

# Above anything a busy machine makes of a call.
TIMEOUT = 60
HOST = 'host1'


class Record:
    """What was done, from any thread."""

    def __init__(self):
        self._lock = threading.Lock()
        self._did = {}

    def add(self, method, argument):
        with self._lock:
            self._did.setdefault(method, []).append(argument)

    def of(self, method):
        with self._lock:
            return list(self._did.get(method, []))

    def dump(self):
        with self._lock:
            return json.dumps(self._did)


class Colleagues:
    """Clients of the three topics, and a notifier."""

    def __init__(self, transport, server):
        self.api, self.worker, self.agent = (
            oslo_messaging.get_rpc_client(
                transport, oslo_messaging.Target(topic=topic), timeout=TIMEOUT)
            for topic in ('api', 'worker', 'agent'))
        self.notifier = oslo_messaging.Notifier(
            transport, publisher_id=server, driver='messagingv2', topics=['notifications'])


class Api:
    def __init__(self, record, colleagues):
        self._record, self._to = record, colleagues

    def order(self, ctxt, number):
        self._record.add('order', number)
        built = self._to.worker.call(ctxt, 'build', number=number)
        self._to.notifier.info(ctxt, 'order.end', {'number': number})
        return built

    def progress(self, ctxt, number, step):
        self._record.add('progress', [number, step])

    def configure(self, ctxt, number):
        for client in (self._to.worker, self._to.agent):
            client.prepare(fanout=True).cast(ctxt, 'configured', number=number)


class Configured:
    """What workers and agents have in common."""

    def __init__(self, record, colleagues):
        self._record, self._to = record, colleagues

    def configured(self, ctxt, number):
        self._record.add('configured', number)

    def configuration(self, ctxt):
        return self._record.of('configured')


class Worker(Configured):
    def build(self, ctxt, number):
        self._record.add('build', number)
        self._to.api.cast(ctxt, 'progress', number=number, step='built')
        attached = self._to.agent.prepare(server=HOST).call(ctxt, 'attach', number=number)
        self._to.notifier.info(ctxt, 'build.end', {'number': number})
        if number % 5 == 0:
            self._to.notifier.error(ctxt, 'build.error', {'number': number})
        return attached


class Agent(Configured):
    def attach(self, ctxt, number):
        self._record.add('attach', number)
        self._to.api.cast(ctxt, 'progress', number=number, step='attached')
        self._to.notifier.info(ctxt, 'attach.end', {'number': number})
        return number


def main():
    parser = oslo.arguments(__doc__)
    parser.add_argument('role', choices=['api', 'worker', 'agent'])
    parser.add_argument('--server', required=True)
    args = parser.parse_args()
    transport = oslo.transport(args)
    record = Record()
    offered = {'api': Api, 'worker': Worker, 'agent': Agent}[args.role]
    server = oslo_messaging.get_rpc_server(
        transport, oslo_messaging.Target(topic=args.role, server=args.server),
        [offered(record, Colleagues(transport, args.server))], executor='threading')
    server.start()
    oslo.say('ready')
    sys.stdin.read()
    server.stop()
    server.wait()
    oslo.say(record.dump())
    transport.cleanup()
    oslo.leave()


if __name__ == '__main__':
    main()
