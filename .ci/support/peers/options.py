"""Reads files and an environment with oslo.config, driven by lines of JSON.

Each line is a configuration; the answer has the values oslo.messaging reads from it:

    {"files": ["[DEFAULT]\\ncontrol_exchange = a\\n"], "env": {"OS_DEFAULT__CONTROL_EXCHANGE": "b"}}
    {"control_exchange": "b", "topics": ["notifications"], ...}
    {"error": "..."}

Besides oslo.messaging's options it registers those of a service: state_path and a, and
password in broker.
"""
import json
import logging
import os
import sys
import tempfile

from oslo_config import cfg
from oslo_messaging import server, transport
from oslo_messaging._drivers import amqp, impl_rabbit
from oslo_messaging.notify import notifier
from oslo_messaging.rpc import client

import oslo

RABBIT = 'oslo_messaging_rabbit'
NOTIFICATIONS = 'oslo_messaging_notifications'


def values(files, env):
    """Returns the options a test compares; reads all of them first."""
    os.environ.update(env)
    try:
        conf = cfg.ConfigOpts()
        conf([], project='peer', prog='peer', default_config_files=files, default_config_dirs=[])
        for group, options in (
                (None, transport._transport_opts + client._client_opts + server._pool_opts),
                (RABBIT, impl_rabbit.rabbit_opts + amqp.amqp_opts),
                (NOTIFICATIONS, notifier._notifier_opts),
                (None, [cfg.StrOpt('state_path', default='/var/lib'), cfg.StrOpt('a', default='')]),
                ('broker', [cfg.StrOpt('password', default='none')])):
            conf.register_opts(options, group=group)
        rabbit, notifications = conf[RABBIT], conf[NOTIFICATIONS]
        return {
            'transport_url': conf.transport_url,
            'control_exchange': conf.control_exchange,
            'executor_thread_pool_size': conf.executor_thread_pool_size,
            'amqp_durable_queues': rabbit.amqp_durable_queues,
            'kombu_missing_consumer_retry_timeout': rabbit.kombu_missing_consumer_retry_timeout,
            'driver': notifications.driver,
            'topics': notifications.topics,
            'retry': notifications.retry,
        }
    finally:
        for name in env:
            os.environ.pop(name)


def answer(command):
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, text in enumerate(command.get('files', [])):
            paths.append(os.path.join(folder, f'{number}.conf'))
            with open(paths[-1], 'w', newline='') as file:
                file.write(text)
        try:
            return values(paths, command.get('env', {}))
        except Exception as error:  # any error: the configuration has no values
            return {'error': f'{type(error).__name__}: {error}'}


def main():
    logging.basicConfig(level=logging.CRITICAL)
    oslo.say('ready')
    for line in sys.stdin:
        oslo.say(json.dumps(answer(json.loads(line))))
    oslo.leave()


if __name__ == '__main__':
    main()
