"""How many requests a second `conflict-claims serve` answers on loopback, how fast, and whether a stop loses any.

    python benchmarks/serve.py [--model models/transformer] [--seconds 10]

Service and clients share the machine's cores. Each client sends one sentence a request, over one open connection, and
the next as soon as it has its answer. At last the service is told to stop (SIGTERM) under the load of all clients.
"""

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import date
from pathlib import Path
from statistics import quantiles

from conflict_claims.corpus.records import read_rows
from conflict_claims.markdown import insert_block
from conflict_claims.model_folder import machine_name

CLIENTS = (1, 8, 32)
BEGIN, END = "<!-- made by make bench-serve -->", "<!-- end of bench-serve -->"
HEAD = """
| clients | answers | answers a second | median ms | p95 ms | p99 ms |
|---|---|---|---|---|---|
"""


class Client(threading.Thread):
    """Asks until it is told to end or the service is gone; notes how long answers took, and what came of the rest."""

    def __init__(self, port: int, texts: list[str]) -> None:
        super().__init__()
        self.port, self.texts = port, texts
        self.times: list[float] = []
        self.outcomes: Counter[str] = Counter()
        self.ending = threading.Event()

    def run(self) -> None:
        """One request after the other over one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.ending.is_set():
            text = random.choice(self.texts)
            begun = time.perf_counter()
            try:
                if connection.sock is None:
                    connection.connect()
            except ConnectionError:
                self.outcomes["connection refused"] += 1
                return
            try:
                connection.request(
                    "POST", "/predict", json.dumps({"texts": [text]}), {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                found = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.outcomes[f"lost ({type(error).__name__})"] += 1
                connection.close()
                continue
            if answer.status == 200 and found["results"][0][0]["text"] == text:
                self.outcomes["answered"] += 1
                self.times.append(time.perf_counter() - begun)
            else:
                self.outcomes[f"refused ({answer.status})"] += 1
                time.sleep(0.05)


def load(port: int, texts: list[str], clients: int, seconds: float) -> list[Client]:
    """Run so many clients for a while."""
    running = [Client(port, texts) for _ in range(clients)]
    for client in running:
        client.start()
    time.sleep(seconds)
    for client in running:
        client.ending.set()
    for client in running:
        client.join()
    return running


def rates(port: int, texts: list[str], seconds: float) -> str:
    """The table of rates and latencies."""
    table = HEAD
    for clients in CLIENTS:
        load(port, texts, clients, 1)
        done = load(port, texts, clients, seconds)
        times = [1000 * t for client in done for t in client.times]
        cuts = quantiles(times, n=100)
        row = (clients, f"{len(times):,}", f"{len(times) / seconds:.0f}", *(f"{cuts[k - 1]:.1f}" for k in (50, 95, 99)))
        table += f"| {' | '.join(map(str, row))} |\n"
        wrong = sum((client.outcomes for client in done), Counter[str]()) - Counter(answered=len(times))
        if wrong:
            table += f"\nAt {clients} clients also: {wrong}\n"
    return table


def stop(service: "subprocess.Popen[str]", port: int, texts: list[str]) -> str:
    """Stop the service under load, and say what came of every request."""
    running = [Client(port, texts) for _ in range(CLIENTS[-1])]
    for client in running:
        client.start()
    time.sleep(2)
    service.send_signal(signal.SIGTERM)
    begun = time.perf_counter()
    status = service.wait(120)
    took = time.perf_counter() - begun
    for client in running:
        client.join()
    outcomes = sum((client.outcomes for client in running), Counter[str]())
    lost = sum(n for what, n in outcomes.items() if what.startswith("lost"))
    said = ", ".join(f"{n:,} {what}" for what, n in sorted(outcomes.items()))
    return (
        f"Stopped by SIGTERM under the load of {CLIENTS[-1]} clients, two seconds after they began: {said}; "
        f"**{lost} lost**. It ended {took:.1f} s after the signal with status {status}.\n"
    )


def main() -> None:
    """Start the service, measure, stop it, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/transformer"))
    parser.add_argument("--data", type=Path, default=Path("data/splits/validation.jsonl"))
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--output", type=Path, default=Path("experiments/bench_serve.md"))
    parser.add_argument("--insert", type=Path, help="Markdown file whose marked block is replaced by the table")
    arguments = parser.parse_args()
    texts = [row["text"] for _, row in read_rows(arguments.data)]
    command = [sys.executable, "-m", "conflict_claims.cli", "serve", "--model", str(arguments.model), "--port", "0"]
    service = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert service.stderr is not None
    try:
        said = service.stderr.readline()
        if "http://" not in said:
            raise SystemExit(said)
        port = int(said.split("http://")[1].split("/")[0].rpartition(":")[2])
        busy = os.getloadavg()[0]
        table = (
            f"{arguments.model}; {machine_name()}; load of the machine before the test: {busy:.1f}; {date.today()}.\n"
        )
        table += rates(port, texts, arguments.seconds) + "\n" + stop(service, port, texts)
    finally:
        service.kill()
        service.wait()
    arguments.output.write_text(f"# Load test of the service\n\n{table}", encoding="utf-8")
    if arguments.insert is not None:
        insert_block(arguments.insert, table, BEGIN, END)
    sys.stdout.write(table)


if __name__ == "__main__":
    main()
