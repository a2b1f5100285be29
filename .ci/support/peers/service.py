"""One process of a small service: an API, a worker or an agent (ROLE).

A customer calls `order` on the API, which calls `build` on any worker, which calls `attach` on the
agent of HOST. Worker and agent cast `progress` to the API, each step ends with a notification, and
the API casts its configuration to all workers and agents. The process prints `ready` once it
serves; when its standard input ends, it stops in order and prints its calls:
{method: [argument, ...]}.
"""
import json
import sys
import threading

import oslo_messaging

import oslo

# Longer than any call takes on a busy machine.
TIMEOUT = 60
HOST = 'host1'


class Record:
    """The calls this process executed; any thread may add one."""

    def __init__(self):
        self._lock = threading.Lock()
        self._calls = {}

    def add(self, method, argument):
        with self._lock:
            self._calls.setdefault(method, []).append(argument)

    def of(self, method):
        with self._lock:
            return list(self._calls.get(method, []))

    def dump(self):
        with self._lock:
            return json.dumps(self._calls)


class Clients:
    """Clients of the three topics, and a notifier."""

    def __init__(self, transport, server):
        self.api, self.worker, self.agent = (
            oslo_messaging.get_rpc_client(
                transport, oslo_messaging.Target(topic=topic), timeout=TIMEOUT)
            for topic in ('api', 'worker', 'agent'))
        self.notifier = oslo_messaging.Notifier(
            transport, publisher_id=server, driver='messagingv2', topics=['notifications'])


class Api:
    def __init__(self, record, clients):
        self._record, self._clients = record, clients

    def order(self, ctxt, number):
        self._record.add('order', number)
        built = self._clients.worker.call(ctxt, 'build', number=number)
        self._clients.notifier.info(ctxt, 'order.end', {'number': number})
        return built

    def progress(self, ctxt, number, step):
        self._record.add('progress', [number, step])

    def configure(self, ctxt, number):
        for client in (self._clients.worker, self._clients.agent):
            client.prepare(fanout=True).cast(ctxt, 'configured', number=number)


class Configured:
    """Methods that workers and agents share."""

    def __init__(self, record, clients):
        self._record, self._clients = record, clients

    def configured(self, ctxt, number):
        self._record.add('configured', number)

    def configuration(self, ctxt):
        return self._record.of('configured')


class Worker(Configured):
    def build(self, ctxt, number):
        self._record.add('build', number)
        self._clients.api.cast(ctxt, 'progress', number=number, step='built')
        attached = self._clients.agent.prepare(server=HOST).call(ctxt, 'attach', number=number)
        self._clients.notifier.info(ctxt, 'build.end', {'number': number})
        if number % 5 == 0:
            self._clients.notifier.error(ctxt, 'build.error', {'number': number})
        return attached


class Agent(Configured):
    def attach(self, ctxt, number):
        self._record.add('attach', number)
        self._clients.api.cast(ctxt, 'progress', number=number, step='attached')
        self._clients.notifier.info(ctxt, 'attach.end', {'number': number})
        return number


def main():
    parser = oslo.arguments(__doc__)
    parser.add_argument('role', choices=['api', 'worker', 'agent'])
    parser.add_argument('--server', required=True)
    args = parser.parse_args()
    transport = oslo.transport(args)
    record = Record()
    endpoint = {'api': Api, 'worker': Worker, 'agent': Agent}[args.role]
    server = oslo_messaging.get_rpc_server(
        transport, oslo_messaging.Target(topic=args.role, server=args.server),
        [endpoint(record, Clients(transport, args.server))], executor='threading')
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
