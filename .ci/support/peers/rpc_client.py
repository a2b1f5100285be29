"""An oslo.messaging RPC client driven by lines of JSON.

Each line is a command; the peer answers each with one line:

    {"op": "call", "topic": "t", "method": "echo", "args": {"arg": 1}}
    {"result": 1, "seconds": 0.004}
    {"error": {"class": "MessagingTimeout", "module": "...", "text": "..."}, "seconds": 1.0}

op is call, cast or fanout; server, namespace, version, exchange, timeout, call_monitor_timeout,
retry and ctxt are as in oslo.messaging; mandatory asks for at_least_once; count repeats the
operation and answers {"done": N, "errors": M, "error": first or null, "seconds": S}; threads
spreads the repetition. The answer repeats an `id` of the command.
"""
import concurrent.futures
import json
import time

import oslo_messaging

import oslo


def client(transport, command):
    target = oslo_messaging.Target(
        **{name: command[name] for name in
           ('topic', 'server', 'namespace', 'version', 'exchange') if name in command})
    options = None
    if command.get('mandatory'):
        options = oslo_messaging.TransportOptions(at_least_once=True)
    made = oslo.rpc_client(
        transport, target, timeout=command.get('timeout', 10), retry=command.get('retry'),
        call_monitor_timeout=command.get('call_monitor_timeout'), transport_options=options)
    return made.prepare(fanout=True) if command['op'] == 'fanout' else made


def perform(transport, command):
    one = client(transport, command)
    verb = one.call if command['op'] == 'call' else one.cast
    ctxt, method, args = command.get('ctxt', {}), command['method'], command.get('args', {})
    if 'count' not in command:
        return {'result': verb(ctxt, method, **args)}

    def once(_):
        try:
            verb(ctxt, method, **args)
            return None
        except Exception as error:
            return described(error)

    with concurrent.futures.ThreadPoolExecutor(command.get('threads', 1)) as pool:
        failures = [e for e in pool.map(once, range(command['count'])) if e is not None]
    return {'done': command['count'] - len(failures), 'errors': len(failures),
            'error': failures[0] if failures else None}


def described(error):
    """Returns an exception as data; a RemoteError also names the remote exception."""
    about = {'class': type(error).__name__, 'module': type(error).__module__, 'text': str(error)}
    for name in ('exc_type', 'value'):
        if hasattr(error, name):
            about[name] = str(getattr(error, name))
    if isinstance(getattr(error, 'kwargs', None), dict):
        about['kwargs'] = error.kwargs
    about['args'] = [repr(arg) for arg in error.args]
    return about


def main():
    parser = oslo.arguments('An oslo.messaging RPC client driven by lines of JSON.')
    parser.add_argument('--allow', action='append', default=['builtins', 'endpoints'],
                        help='module whose exceptions are rebuilt')
    args = parser.parse_args()
    transport = oslo.transport(args, allowed_remote_exmods=args.allow)
    oslo.say('ready')
    for line in oslo.lines(args):
        started = time.monotonic()
        command = {}
        try:
            command = json.loads(line)
            answer = perform(transport, command)
        except Exception as error:
            answer = {'error': described(error)}
        answer['seconds'] = round(time.monotonic() - started, 6)
        if 'id' in command:
            answer['id'] = command['id']
        oslo.say(json.dumps(answer, default=repr))
    oslo.leave()


if __name__ == '__main__':
    main()
