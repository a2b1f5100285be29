"""What all peers share: oslo.messaging without a configuration file, and lines in and out.

Options come from a private ConfigOpts, so nothing of the machine's own configuration is read.
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
from oslo_messaging._drivers import amqp, impl_rabbit
from oslo_messaging._metrics import client as metrics

try:
    from oslo_messaging._tracing import client as tracing
except ImportError:  # releases before tracing
    tracing = None


def arguments(description):
    """The arguments each peer takes; --option NAME=VALUE sets [oslo_messaging_rabbit] NAME."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--url', required=True)
    parser.add_argument('--exchange', help="control exchange, oslo's default: openstack")
    parser.add_argument('--option', action='append', default=[], metavar='NAME=VALUE')
    parser.add_argument('--lock-path', help='where oslo.concurrency keeps lock files')
    parser.add_argument('--verbose', action='store_true', help='log everything to stderr')
    return parser


def transport(args, **more):
    """An RPC transport as the arguments ask for it."""
    return oslo_messaging.get_rpc_transport(configuration(args), args.url, **more)


def notification_transport(args):
    """A notification transport as the arguments ask for it."""
    return oslo_messaging.get_notification_transport(configuration(args), args.url)


def configuration(args):
    """The options the arguments set, and nothing else."""
    logging.basicConfig(level=logging.DEBUG if args.verbose else logging.WARNING)
    conf = cfg.ConfigOpts()
    conf([], project='peer', prog='peer', default_config_files=[])
    conf.register_opts(metrics.oslo_messaging_metrics, group='oslo_messaging_metrics')
    if tracing is not None:
        conf.register_opts(tracing.oslo_messaging_tracing, group='oslo_messaging_tracing')
    conf.register_opts(impl_rabbit.rabbit_opts, group='oslo_messaging_rabbit')
    conf.register_opts(amqp.amqp_opts, group='oslo_messaging_rabbit')
    for option in args.option:
        name, value = option.split('=', 1)
        conf.set_override(name, literal(value), group='oslo_messaging_rabbit')
    if args.lock_path:
        lockutils.set_defaults(args.lock_path)
    if args.exchange:
        oslo_messaging.set_transport_defaults(args.exchange)
    return conf


def literal(text):
    """true, false and numbers as such, anything else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


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
