"""What `/metrics` tells, read by `prometheus_client` (PyPI), of the broker at the address given: `127.0.0.1:PORT`.

Each check that passed is a line "ok NAME"; whatever fails ends the script with an error.
"""

import sys
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

URL = f"http://{sys.argv[1]}/metrics"


def families():
    with urllib.request.urlopen(URL, timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), answer.headers
        return {family.name: family for family in text_string_to_metric_families(answer.read().decode())}


def every_figure_has_a_type_and_a_help(found):
    assert len(found) > 30, found.keys()
    for family in found.values():
        assert family.type in ("gauge", "counter", "histogram"), family
        assert family.name.startswith("fanwire_") and family.documentation.endswith("."), family
        assert all(sample.value >= 0 for sample in family.samples), family


def labels_are_the_broker_s_own_words(found):
    names = {name for family in found.values() for sample in family.samples for name in sample.labels}
    assert names <= {"version", "reactor", "protocol", "policy", "code", "journal", "state", "le"}, names
    kinds = {sample.labels["protocol"] for sample in found["fanwire_connections"].samples}
    assert kinds == {"opening", "native", "websocket", "websocket_json", "sse", "poll", "http"}, kinds


def no_series_stands_twice(found):
    for family in found.values():
        series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
        assert len(series) == len(set(series)), family


def syncs_are_a_histogram(found):
    buckets = [sample for sample in found["fanwire_journal_sync_seconds"].samples if "le" in sample.labels]
    bounds = [float(sample.labels["le"]) for sample in buckets]
    counts = [sample.value for sample in buckets]
    assert bounds == sorted(bounds) and bounds[-1] == float("inf"), bounds
    assert counts == sorted(counts), counts


for check in (
    every_figure_has_a_type_and_a_help,
    labels_are_the_broker_s_own_words,
    no_series_stands_twice,
    syncs_are_a_histogram,
):
    check(families())
    print("ok", check.__name__)
