"""What /metrics says, in a registry of its own, so that two services in one process do not mix."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)


class Measures:
    """Counters and histograms of one service."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        name = "conflict_claims_"
        self.requests = Counter(name + "requests", "Answers given.", ("path", "status"), registry=registry)
        self.seconds = Histogram(
            name + "request_seconds",
            "From the request's head to its whole answer.",
            ("path",),
            buckets=SECONDS,
            registry=registry,
        )
        self.batch_sentences = Histogram(
            name + "batch_sentences", "Sentences predicted together.", buckets=SIZES, registry=registry
        )
        self.batch_requests = Histogram(
            name + "batch_requests", "Requests answered together.", buckets=SIZES, registry=registry
        )
        self.batch_seconds = Histogram(
            name + "batch_seconds", "Time the model took for a batch.", buckets=SECONDS, registry=registry
        )
        self.waiting = Gauge(name + "requests_in_place", "Requests read, waiting or worked on.", registry=registry)
        self.places = Gauge(name + "places", "Most requests in place at once; the next gets 503.", registry=registry)

    def text(self) -> bytes:
        """All measures in Prometheus's text format."""
        return generate_latest(self.registry)
