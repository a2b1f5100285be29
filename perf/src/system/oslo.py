"""What scripts on oslo.messaging share: options from nowhere but their arguments, lines out.

It stands before each of them, and they are run as one.
"""
import json
import sys
import threading

from oslo_config import cfg
from oslo_messaging._drivers import amqp, impl_rabbit

try:
    from oslo_messaging._metrics import client as metrics
except ImportError:  # releases before metrics
    metrics = None
try:
    from oslo_messaging._tracing import client as tracing
except ImportError:  # releases before tracing
    tracing = None

GROUP = 'oslo_messaging_rabbit'

_output = threading.Lock()


def say(what):
    """Prints one line at once; lines of several threads do not mix."""
    with _output:
        sys.stdout.write(json.dumps(what) + '\n')
        sys.stdout.flush()


def configuration(project):
    """Options with their defaults, read from no file."""
    conf = cfg.ConfigOpts()
    conf([], project=project, prog=project, default_config_files=[])
    conf.register_opts(impl_rabbit.rabbit_opts, group=GROUP)
    conf.register_opts(amqp.amqp_opts, group=GROUP)
    if metrics is not None:
        conf.register_opts(metrics.oslo_messaging_metrics, group='oslo_messaging_metrics')
    if tracing is not None:
        conf.register_opts(tracing.oslo_messaging_tracing, group='oslo_messaging_tracing')
    return conf


