"""What all peers share: oslo.messaging without a configuration file, and lines in and out.

Options come from a private ConfigOpts, so nothing of the machine's own configuration is read. The
release may also be one that still had the `pika` driver (see pika_shims.py).
Not here: endpoints, commands.
"""
import argparse
import json
import logging
import os
import sys
import threading

import oslo_messaging
from oslo_concurrency import lockutils
from oslo_config import cfg

try:
    from oslo_messaging._drivers import impl_pika
except ImportError:  # releases of today
    impl_pika = None
    from oslo_messaging._drivers import amqp, impl_rabbit
    from oslo_messaging._metrics import client as metrics

try:
    from oslo_messaging._tracing import client as tracing
except ImportError:  # releases before tracing
    tracing = None


def arguments(description):
    """The arguments each peer takes; --option NAME=VALUE sets NAME of the driver."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--url', required=True)
    parser.add_argument('--exchange', help="control exchange, oslo's default: openstack")
    parser.add_argument('--option', action='append', default=[], metavar='NAME=VALUE')
    parser.add_argument('--lock-path', help='where oslo.concurrency keeps lock files')
    parser.add_argument('--eventlet', action='store_true',
                        help='green threads; only with pika_shims.py, which patches the process')
    parser.add_argument('--verbose', action='store_true', help='log everything to stderr')
    return parser


def transport(args, **more):
    """An RPC transport as the arguments ask for it."""
    get = getattr(oslo_messaging, 'get_rpc_transport', oslo_messaging.get_transport)
    return get(configuration(args), args.url, **more)


def rpc_client(transport, target, **options):
    """A client; a release without the option calls it unknown, so None is not handed on."""
    get = getattr(oslo_messaging, 'get_rpc_client', oslo_messaging.RPCClient)
    return get(transport, target, **{k: v for k, v in options.items() if v is not None})


def executor(args):
    """What a server or listener runs its endpoints on."""
    return 'eventlet' if args.eventlet else 'threading'


def notification_transport(args):
    """A notification transport as the arguments ask for it."""
    return oslo_messaging.get_notification_transport(configuration(args), args.url)


def configuration(args):
    """The options the arguments set, and nothing else."""
    logging.basicConfig(level=logging.DEBUG if args.verbose else logging.WARNING)
    conf = cfg.ConfigOpts()
    conf([], project='peer', prog='peer', default_config_files=[])
    group = register_pika(conf) if impl_pika else register_rabbit(conf)
    for option in args.option:
        name, value = option.split('=', 1)
        conf.set_override(name, literal(value), group=group)
    if args.lock_path:
        lockutils.set_defaults(args.lock_path)
    if args.exchange:
        oslo_messaging.set_transport_defaults(args.exchange)
    return conf


def register_rabbit(conf):
    """Returns the group of the driver's options."""
    conf.register_opts(metrics.oslo_messaging_metrics, group='oslo_messaging_metrics')
    if tracing is not None:
        conf.register_opts(tracing.oslo_messaging_tracing, group='oslo_messaging_tracing')
    conf.register_opts(impl_rabbit.rabbit_opts, group='oslo_messaging_rabbit')
    conf.register_opts(amqp.amqp_opts, group='oslo_messaging_rabbit')
    return 'oslo_messaging_rabbit'


def register_pika(conf):
    """Returns the group of the driver's options."""
    for options in (impl_pika.pika_drv_conn_factory.pika_opts, impl_pika.pika_pool_opts,
                    impl_pika.message_opts, impl_pika.rpc_opts, impl_pika.notification_opts):
        conf.register_opts(options, group='oslo_messaging_pika')
    return 'oslo_messaging_pika'


def literal(text):
    """true, false and numbers as such, anything else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def lines(args):
    """Standard input by lines; green threads go on while one is awaited."""
    if not args.eventlet:
        return sys.stdin
    from eventlet import tpool
    return iter(lambda: tpool.execute(sys.stdin.readline), '')


def await_end(args):
    """Returns when standard input ends."""
    for _ in lines(args):
        pass


_output = threading.Lock()


def say(line):
    """Prints one line at once; lines of several threads do not mix."""
    with _output:
        sys.stdout.write(line + '\n')
        sys.stdout.flush()


def leave():
    """Ends now, whatever other threads do: the test that started us is gone or has finished."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
