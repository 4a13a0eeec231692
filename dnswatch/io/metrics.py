"""Prometheus metrics, made from the same rows that `status` shows.

Labels are sources, sinks, zones, consumers, jobs and fixed words only: never clients or names (cardinality, privacy).
Never: counts anything itself. Read next: ``daemon.py``, which writes the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

Rows = Mapping[str, Mapping[str, Any]]

# row kind → (key in the row, metric, help, is a counter). The row's name is the label.
SCALARS: dict[str, list[tuple[str, str, str, bool]]] = {
    "source": [
        ("read_bytes", "source_read_bytes", "Bytes consumed from the source.", True),
        ("lines", "log_lines", "Lines consumed (an estimate from sampled line lengths).", True),
        ("candidates", "log_candidates", "Lines that named something watched.", True),
        ("samples", "log_samples", "Lines parsed to watch the format.", True),
        ("samples_bad", "log_samples_bad", "Sampled lines that did not parse.", True),
        ("lag_bytes", "log_lag_bytes", "Bytes written but not read yet.", False),
        ("lag_s", "log_lag_seconds", "Age of the last line read, while there is more to read; else 0.", False),
        ("lost_lines", "source_lost_lines", "Lines that the server says it could not log.", True),
        ("refused_count", "source_refused", "Senders and messages that were refused.", True),
        ("connections", "source_connections", "Connections of senders.", False),
        ("failures", "source_failures", "Failures to read.", True),
        ("waiting_flag", "source_waiting", "1 while the source cannot be read.", False),
    ],
    "sink": [
        ("sent", "delivery_sent", "Revisions handed over and confirmed.", True),
        ("repeated", "delivery_repeated", "Messages sent again, because the receiver may have lost them.", True),
        ("dropped", "delivery_dropped", "Revisions given up, because too many waited or for too long.", True),
        ("dead", "dead_letters", "Revisions that the receiver refuses, put aside.", False),
        ("held", "delivery_held", "Revisions that are sent again if the receiver dies now.", False),
        ("number", "delivery_sequence", "Number of the last message (sequenceId).", False),
        ("skipped", "delivery_skipped", "Revisions below min_severity.", True),
        ("failures", "delivery_failures", "Failed hand-overs.", True),
        ("backlog", "outbox_rows", "Revisions that wait for the sink.", False),
        ("oldest_s", "outbox_oldest_seconds", "How long the oldest of them has waited.", False),
        ("failing", "sink_failing", "1 while the sink cannot be reached.", False),
        ("beats", "delivery_heartbeats", "Heartbeats sent.", True),
    ],
    "feed": [
        ("serial", "feed_serial", "Serial of the published zone.", False),
        ("rules", "feed_rules", "Rules in the published zone.", False),
        ("at", "feed_published_timestamp_seconds", "When this serial was made.", False),
    ],
    "consumer": [
        ("behind_count", "consumer_zones_behind", "Zones of which the consumer has fetched an older version.", False),
        ("fetched_at", "consumer_fetched_timestamp_seconds", "When it last fetched or compared a zone.", False),
        ("missing", "consumer_zones_not_live", "Copies of zones in the consumer that are not the newest.", False),
        ("failing", "consumer_notify_failing", "1 while it does not acknowledge NOTIFY.", False),
    ],
    "job": [
        ("done", "job_runs", "Finished runs.", True),
        ("failed", "job_failures", "Failed runs.", True),
        ("missed", "job_missed", "Missed runs.", True),
    ],
}
LABEL = {"source": "source", "sink": "sink", "feed": "zone", "consumer": "consumer", "job": "job"}
# key of the row "run" → metric
RUN: list[tuple[str, str, str, bool]] = [
    ("started_at", "start_timestamp_seconds", "When this process began to watch.", False),
    ("checkpoints", "checkpoints", "Committed checkpoints.", True),
    ("checkpoint_failures", "checkpoint_failures", "Checkpoints that the disk did not take.", True),
    ("checkpoint_s", "checkpoint_seconds", "Duration of the last checkpoint.", False),
    ("checkpoint_at", "checkpoint_timestamp_seconds", "When the last checkpoint was committed.", False),
    ("reloads", "config_reloads", "Reloads asked for.", True),
    ("reload_ok", "config_last_reload_success", "1 when the last reload was taken.", False),
    ("loop_lag_s", "loop_lag_seconds", "How late the last tick was.", False),
    ("revisions", "alert_revisions", "Alert revisions decided.", True),
    ("http_requests", "http_requests", "HTTP requests served.", True),
]


class RowCollector(Collector):
    """Turns status rows into metric families when somebody asks."""

    def __init__(self, version: str, rows: Callable[[], Rows]) -> None:
        self._version = version
        self._rows = rows

    def collect(self) -> Iterator[Metric]:
        """Give every family, sorted by where it comes from."""
        rows = self._rows()
        build = InfoMetricFamily("dnswatch_build", "Version of dnswatch.")
        build.add_metric([], {"version": self._version})
        yield build
        for key, metric, text, counts in RUN:
            family = _family(counts, metric, text, [])
            family.add_metric([], float(rows.get("run", {}).get(key) or 0))
            yield family
        for kind, scalars in SCALARS.items():
            for key, metric, text, counts in scalars:
                family = _family(counts, metric, text, [LABEL[kind]])
                for name, row in _of(rows, kind):
                    family.add_metric([name], float(row.get(key) or 0))
                yield family
        yield from self._worded(rows)

    def _worded(self, rows: Rows) -> Iterator[Metric]:
        weird = _family(True, "weird_lines", "Lines that did not parse or must not be trusted.", ["source", "why"])
        for name, row in _of(rows, "source"):
            for why, count in sorted(row.get("weird", {}).items()):
                weird.add_metric([name, why], count)
        yield weird
        lost = _family(True, "source_lost", "Parts of a log that could not be read any more.", ["source", "why"])
        for name, row in _of(rows, "source"):
            for why, count in sorted(row.get("lost", {}).items()):
                lost.add_metric([name, why], count)
        yield lost
        word = _family(False, "sink_acknowledgement", "1 for what the sink's word is worth at present: stored, "
                       "received, hold, none.", ["sink", "class"])  # fmt: skip
        for name, row in _of(rows, "sink"):
            word.add_metric([name, row.get("acknowledgement", "none")], 1)
        yield word
        blind = _family(False, "blind_spots", "Blind spots that are open, by kind.", ["kind"])
        for kind, count in sorted(Counter(kind for kind, _ in rows.get("health", {}).get("blind_spots", [])).items()):
            blind.add_metric([kind], count)
        yield blind
        engine = rows.get("engine", {})
        events = _family(True, "engine_events", "What the engine counted.", ["what"])
        for what, count in sorted(engine.get("counters", {}).items()):
            events.add_metric([what], count)
        yield events
        replies = _family(True, "dns_replies", "Replies of the zone server, and packets that got none.", ["kind"])
        for kind, count in sorted(rows.get("dns", {}).get("replies", {}).items()):
            replies.add_metric([kind], count)
        yield replies
        sizes = _family(False, "engine_rows", "Rows in the engine's bounded tables.", ["table"])
        for table, size in sorted(engine.get("sizes", {}).items()):
            sizes.add_metric([table], size)
        yield sizes
        alerts = _family(True, "alerts", "Alert revisions by service category and severity.", ["category", "severity"])
        for words, count in sorted(engine.get("alerts", {}).items()):
            category, _, severity = words.rpartition("/")
            alerts.add_metric([category, severity], count)
        yield alerts


def registry(version: str, rows: Callable[[], Rows]) -> CollectorRegistry:
    """Make a registry of our own with our metrics and those of the process."""
    made = CollectorRegistry()
    made.register(RowCollector(version, rows))
    ProcessCollector(registry=made)
    PlatformCollector(registry=made)
    GCCollector(registry=made)
    return made


def _of(rows: Rows, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, row in sorted(rows.items()):
        if key.startswith(kind + ":"):
            yield key.partition(":")[2], row


def _family(counts: bool, metric: str, text: str, labels: list[str]) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if counts else GaugeMetricFamily
    return kind(f"dnswatch_{metric}", text, labels=labels)
