"""A service that runs: in a thread beside the test, or as a process of its own."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time

import httpx

from conflict_claims.runtime import ClaimModel
from conflict_claims.serve.app import create_app
from conflict_claims.serve.server import Server, listen, uvicorn

from .conftest import ROOT


@contextlib.contextmanager
def running(model, **options):
    """Serve a model in a thread; yields a client whose `server` can be told to stop."""
    listening = listen(socket.AF_INET, ("127.0.0.1", 0))
    app = create_app(model, "a model", **options)
    server = Server(uvicorn.Config(app, log_level="critical", access_log=False))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        with httpx.Client(base_url=address, timeout=60) as client:
            client.server = server
            yield client
    finally:
        server.should_exit = True
        thread.join()


class Held:
    """A model that waits before it answers until it is let go, and notes how many sentences it was asked at once."""

    def __init__(self, model: ClaimModel) -> None:
        self._inner = model._logits
        self.free, self.sizes, self.fails = threading.Event(), [], False
        self.model = ClaimModel(model.manifest, self._logits)

    def _logits(self, texts):
        self.sizes.append(len(texts))
        assert self.free.wait(60)
        if self.fails:
            raise MemoryError("as if")
        return self._inner(texts)


def until(condition):
    """Wait until something is so."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to be")


@contextlib.contextmanager
def process(model, *arguments, **environment):
    """`conflict-claims serve` on a free port; yields the process, and its address once it answers."""
    command = [sys.executable, "-m", "conflict_claims.cli", "serve", "--model", str(model), "--port", "0", *arguments]
    clean = {k: v for k, v in os.environ.items() if k != "CONFLICT_CLAIMS_TOKEN"}
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=clean | environment)
    try:
        said = started.stderr.readline()
        found = re.search(r"http://\S+?(?=/ )", said)
        assert found, said + started.stderr.read()
        yield started, found.group()
    finally:
        started.kill()
        started.wait()
        started.stderr.close()
