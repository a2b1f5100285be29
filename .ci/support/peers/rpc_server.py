"""An oslo.messaging RPC server that runs until its standard input ends.

Prints `ready` once it consumes. Its endpoints are in endpoints.py.
"""
import oslo_messaging

import endpoints
import oslo


def main():
    parser = oslo.arguments(__doc__)
    parser.add_argument('--topic', required=True)
    parser.add_argument('--server', required=True)
    parser.add_argument('--target-exchange', help='exchange of the target, not the default')
    args = parser.parse_args()
    transport = oslo.transport(args)
    target = oslo_messaging.Target(
        topic=args.topic, server=args.server, exchange=args.target_exchange)
    record = endpoints.Record()
    served = [kind(args.server, record) for kind in (endpoints.Plain, endpoints.Versioned)]
    server = oslo_messaging.get_rpc_server(
        transport, target, served, executor=oslo.executor(args))
    server.start()
    oslo.say('ready')
    oslo.await_end(args)
    oslo.leave()


if __name__ == '__main__':
    main()
