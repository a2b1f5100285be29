"""A collector of oslo.metrics on a Unix datagram socket.

collector.py SOCKET. For each line of input it prints one line: a JSON object of the samples that
Prometheus would scrape, by name and labels.
"""

import json
import sys
import threading

from oslo_metrics import __main__ as collector
from prometheus_client import REGISTRY


def samples():
    found = {}
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name.startswith("oslo_messaging"):
                labels = {k: v for k, v in sample.labels.items() if k != "le"}
                if "le" not in sample.labels:
                    found[sample.name] = [sample.value, labels]
    return found


listener = collector.MetricsListener(sys.argv[1])
threading.Thread(target=listener.serve, daemon=True).start()
print("ready")
for _ in sys.stdin:
    print(json.dumps(samples()))
