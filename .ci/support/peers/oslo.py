"""Shared by all peers: oslo.messaging without a configuration file, and lines in and out.

Options come from a private ConfigOpts, so the machine's own configuration is not read. The
release may be an old one with the `pika` driver (see pika_shims.py).
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
except ImportError:  # current releases
    impl_pika = None
    from oslo_messaging._drivers import amqp, impl_rabbit
    from oslo_messaging._metrics import client as metrics

try:
    from oslo_messaging._tracing import client as tracing
except ImportError:  # releases before tracing
    tracing = None


def arguments(description):
    """Returns the parser of all peers' arguments; --option NAME=VALUE sets NAME of the driver."""
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
    """Returns an RPC transport for the arguments."""
    get = getattr(oslo_messaging, 'get_rpc_transport', oslo_messaging.get_transport)
    return get(configuration(args), args.url, **more)


def rpc_client(transport, target, **options):
    """Returns a client; drops options that are None, because old releases reject unknown ones."""
    get = getattr(oslo_messaging, 'get_rpc_client', oslo_messaging.RPCClient)
    return get(transport, target, **{k: v for k, v in options.items() if v is not None})


def executor(args):
    """Returns the executor of a server or listener."""
    return 'eventlet' if args.eventlet else 'threading'


def notification_transport(args):
    """Returns a notification transport for the arguments."""
    return oslo_messaging.get_notification_transport(configuration(args), args.url)


def configuration(args):
    """Returns a configuration with only the options the arguments set."""
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
    """Registers the driver's options; returns their group."""
    conf.register_opts(metrics.oslo_messaging_metrics, group='oslo_messaging_metrics')
    if tracing is not None:
        conf.register_opts(tracing.oslo_messaging_tracing, group='oslo_messaging_tracing')
    conf.register_opts(impl_rabbit.rabbit_opts, group='oslo_messaging_rabbit')
    conf.register_opts(amqp.amqp_opts, group='oslo_messaging_rabbit')
    return 'oslo_messaging_rabbit'


def register_pika(conf):
    """Registers the driver's options; returns their group."""
    for options in (impl_pika.pika_drv_conn_factory.pika_opts, impl_pika.pika_pool_opts,
                    impl_pika.message_opts, impl_pika.rpc_opts, impl_pika.notification_opts):
        conf.register_opts(options, group='oslo_messaging_pika')
    return 'oslo_messaging_pika'


def literal(text):
    """Parses true, false and numbers; returns any other value as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def lines(args):
    """Returns the lines of standard input; green threads run during the wait for one."""
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
    """Prints one line and flushes; a lock keeps the lines of threads apart."""
    with _output:
        sys.stdout.write(line + '\n')
        sys.stdout.flush()


def leave():
    """Exits at once, whatever other threads do: the test has finished or is gone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
