"""A server or a client that runs oslo.messaging itself, in a fleet that is updated.

The first line of standard input is JSON and is its setup; `ready` answers it. A server prints the
id of each request it executes and each notification it receives. A client reads requests as lines
of JSON and prints the end of each. When its standard input ends it stops in order, prints what is
left, and ends. Not here: counting.
"""
import concurrent.futures
import json
import os
import shutil
import sys
import tempfile

import oslo_messaging
from oslo_concurrency import lockutils

THREADS = 16


class Names:
    """Names of this process's queues, numbered, because only so does a server stop without a loss.

    A fanout queue with a name of its own is deleted when its server stops, and while oslo.messaging
    waits for that to be done it acknowledges what the broker still sends, and does nothing with it.
    """

    def __init__(self, conf, name):
        self._locks = tempfile.mkdtemp(prefix='leveret-rolling-')
        self._counter = f'/dev/shm/leveret-rolling{os.getpid()}_{name}_qmanager'
        lockutils.set_defaults(self._locks)
        conf.set_override('use_queue_manager', True, group=GROUP)
        conf.set_override('hostname', f'leveret-rolling{os.getpid()}', group=GROUP)
        conf.set_override('processname', name, group=GROUP)

    def forget(self):
        shutil.rmtree(self._locks, ignore_errors=True)
        try:
            os.remove(self._counter)
        except FileNotFoundError:
            pass


class Work:
    def do(self, ctxt, id):
        say({'did': id})
        return id


def serve(what):
    conf = configuration('leveret-rolling')
    names = Names(conf, what['server'])
    transport = oslo_messaging.get_rpc_transport(conf, what['url'])
    target = oslo_messaging.Target(topic=what['topic'], server=what['server'])
    server = oslo_messaging.get_rpc_server(transport, target, [Work()], executor='threading')
    server.start()
    say('ready')
    for _ in sys.stdin:
        pass
    server.stop()
    server.wait()
    transport.cleanup()
    names.forget()


class Sender:
    def __init__(self, what):
        conf = configuration('leveret-rolling')
        self._transport = oslo_messaging.get_rpc_transport(conf, what['url'])
        target = oslo_messaging.Target(topic=what['topic'])
        self._client = oslo_messaging.get_rpc_client(
            self._transport, target, timeout=what['timeout'], retry=what['retry'])
        self._notifier = oslo_messaging.Notifier(
            oslo_messaging.get_notification_transport(conf, what['url']),
            publisher_id='python', driver='messagingv2', topics=[what['events']],
            retry=-1 if what['retry'] is None else what['retry'])

    def send(self, request):
        id, what = request['id'], request['what']
        try:
            if what == 'Notification':
                self._notifier.info({}, 'event', {'id': id})
            elif what in ('Cast', 'Fanout'):
                self._client.prepare(fanout=what == 'Fanout').cast({}, 'do', id=id)
            else:
                answer = self._client.prepare(server=request['server']).call({}, 'do', id=id)
                if answer != id:
                    raise ValueError('the answer to another request')
            say({'id': id})
        except Exception as error:  # whatever it is: it is counted
            say({'id': id, 'error': type(error).__name__})

    def close(self):
        self._transport.cleanup()


def send(what):
    sender = Sender(what)
    with concurrent.futures.ThreadPoolExecutor(THREADS) as threads:
        say('ready')
        for line in sys.stdin:
            threads.submit(sender.send, json.loads(line))
    sender.close()


def main():
    what = json.loads(sys.stdin.readline())
    {'server': serve, 'client': send}[what['role']](what)
    sys.stdout.flush()
    os._exit(0)


main()
