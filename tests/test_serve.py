import json
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from conflict_claims.cli import main
from conflict_claims.explain import explain
from conflict_claims.runtime import load
from conflict_claims.serve.limits import MAX_ARTICLE, Limits

from .conftest import LABELS, ROOT, corpus_rows
from .service import Held, process, running, until

ARTICLE = (ROOT / "examples/article.txt").read_text(encoding="utf-8")
TEXTS = [row["text"] for row in corpus_rows()[:40]]
TOKEN = "a-token-of-thirty-two-characters"


@pytest.fixture(scope="module", params=["tfidf", "transformer"])
def model(request, models):
    return load(models / request.param)


@pytest.fixture(scope="module")
def tfidf(models):
    return load(models / "tfidf")


@pytest.fixture(scope="module")
def api(tfidf):
    with running(tfidf, limits=Limits(body_bytes=600_000)) as client:
        yield client


def post(client, **body):
    return client.post("/predict", json=body)


def as_row(prediction):
    return {
        "text": prediction.text,
        "start": prediction.start,
        "end": prediction.end,
        "labels": list(prediction.labels),
        "probabilities": pytest.approx(prediction.probabilities, abs=1e-4),
    }


# answers


def test_it_answers_what_python_answers(model):
    article = f"\U0001f600 Café — {ARTICLE}"
    with running(model) as client:
        found = post(client, articles=[article, "", "Prices rose."]).json()["results"]
        assert found == [[as_row(p) for p in part] for part in model.predict([article, "", "Prices rose."])]
        found = post(client, texts=[" \u200b", *TEXTS]).json()["results"]
        assert found == [[], *([as_row(p) for p in part] for part in model.predict(TEXTS, sentences=True))]


def test_it_says_which_words_moved_a_label(model):
    with running(model) as client:
        [[row], [_]] = post(client, texts=[TEXTS[0], "!?"], explain=True).json()["results"]
    for label, words in explain(model, TEXTS[0]).items():
        found = [(word["word"], word["start"], word["end"], word["weights"][label]) for word in row["words"]]
        assert found == [(w.word, w.start, w.end, pytest.approx(w.weight, abs=1e-2)) for w in words]


def test_it_says_which_model_answers_and_what_it_takes(api, tfidf):
    found = api.get("/model").json()
    assert found["labels"] == list(LABELS) and found["kind"] == "tfidf"
    assert found["thresholds"] == tfidf.manifest.thresholds
    assert found["limits"]["body_bytes"] == 600_000
    assert api.get("/health").json() == {"status": "ok"}


# refusals


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("no json", 422, "expected JSON"),
        ("[" * 100_000, 400, "parsing the body"),
        ("[]", 422, "expected a JSON object with 'texts' (sentences) or 'articles'"),
        ("{}", 422, "expected a JSON object with 'texts'"),
        ('{"texts": []}', 422, "texts: List should have at least 1 item"),
        ('{"texts": ["fine", 7]}', 422, "texts[1]: Input should be a valid string"),
        ('{"texts": ["fine", "\\ud800"]}', 422, "texts[1]: Input should be a valid string"),
        (json.dumps({"texts": ["x" * 10_001]}), 422, "texts[0]: String should have at most 10000 characters"),
        (json.dumps({"texts": ["x"] * 1001}), 422, "at most 1000 items"),
        (json.dumps({"articles": ["x" * (MAX_ARTICLE + 1)]}), 422, "articles[0]: String should have at most 500000"),
        (json.dumps({"articles": ["One came. " * 2500]}), 422, "at most 2,000 sentences in one request, found 2,500"),
        (json.dumps({"texts": ["a word " * 50] * 11, "explain": True}), 422, "at most 1,000 words to explain"),
        (json.dumps({"texts": ["a word " * 300], "explain": True}), 422, "split it into sentences"),
        ('{"texts": ["a"], "articles": ["b"]}', 422, "texts: Extra inputs are not permitted"),
        ('{"texts": ["a"], "explain": "yes"}', 422, "explain: Input should be a valid boolean"),
        (json.dumps({"texts": ["x" * 700_000]}), 413, "at most 600,000 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_answered_is_refused_in_a_sentence(api, body, status, message):
    answer = api.post("/predict", content=body.encode(), headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert message in answer.json()["detail"] and len(answer.content) < 400


def test_a_body_without_a_declared_length_is_counted_while_it_comes(api):
    sent = []

    def endless():
        for _ in range(100):
            sent.append(1)
            yield b" " * 100_000

    answer = api.post("/predict", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413 and "600,000 bytes" in answer.json()["detail"]
    assert api.get("/metrics").status_code == 200


def test_a_body_that_does_not_come_is_given_up(tfidf):
    with running(tfidf, limits=Limits(body_seconds=0.2)) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port)) as slow:
            slow.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            until(lambda: "requests_in_place 0.0" in client.get("/metrics").text)
        assert post(client, texts=["Prices rose."]).status_code == 200


# many at once


def test_requests_that_come_while_the_model_works_are_answered_together(tfidf):
    held = Held(tfidf)
    with running(held.model) as client, ThreadPoolExecutor(8) as pool:
        first = pool.submit(post, client, texts=TEXTS[:1])
        until(lambda: held.sizes)
        waiting = [pool.submit(post, client, texts=TEXTS[k : k + 3]) for k in range(6)]
        bad = pool.submit(post, client, texts=["word " * 600], explain=True)
        until(lambda: "requests_in_place 8.0" in client.get("/metrics").text)
        held.free.set()
        assert first.result().status_code == 200 and bad.result().status_code == 422
        for k, answer in enumerate(waiting):
            assert [row["text"] for [row] in answer.result().json()["results"]] == TEXTS[k : k + 3]
    assert held.sizes == [1, 18]  # and the bad one spoiled nothing


def test_a_full_queue_refuses_and_never_grows(tfidf):
    held = Held(tfidf)
    with running(held.model, limits=Limits(waiting=3)) as client, ThreadPoolExecutor(8) as pool:
        taken = [pool.submit(post, client, texts=TEXTS[k : k + 1]) for k in range(3)]
        until(lambda: "requests_in_place 3.0" in client.get("/metrics").text)
        refused = [post(client, texts=TEXTS[:1]) for _ in range(20)]
        assert {answer.status_code for answer in refused} == {503}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        assert "busy: 3 requests are waiting" in refused[0].json()["detail"]
        assert "requests_in_place 3.0" in client.get("/metrics").text
        held.free.set()
        assert {answer.result().status_code for answer in taken} == {200}
        assert post(client, texts=TEXTS[:1]).status_code == 200


def test_a_failure_of_the_model_is_answered_and_the_next_request_too(tfidf):
    held = Held(tfidf)
    held.free.set()
    with running(held.model) as client:
        held.fails = True
        failed = post(client, texts=TEXTS[:1])
        assert failed.status_code == 500 and failed.headers["connection"] == "close"  # it does close: say so
        held.fails = False
        assert post(client, texts=TEXTS[:1]).status_code == 200


# stopping


def test_what_was_taken_is_answered_while_new_requests_are_refused(tfidf):
    held = Held(tfidf)
    with running(held.model) as client, ThreadPoolExecutor(2) as pool:
        taken = pool.submit(post, client, texts=TEXTS[:5])
        until(lambda: held.sizes)
        client.server.should_exit = True
        until(lambda: client.get("/health").json() == {"status": "stopping"})
        refused = post(client, texts=TEXTS[:1])
        assert refused.status_code == 503 and refused.headers["connection"] == "close"
        held.free.set()
        assert len(taken.result().json()["results"]) == 5


def test_a_process_that_is_stopped_under_load_loses_no_answer(models):
    outcomes, stopped = [], threading.Event()

    def ask(address, text):
        with httpx.Client(base_url=address, timeout=60) as client:
            while True:
                try:
                    answer = post(client, texts=[text])
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    outcomes.append("refused")
                    return
                outcomes.append(answer.status_code)
                if answer.status_code == 200:
                    assert answer.json()["results"][0][0]["text"] == text
                elif stopped.is_set():
                    return

    with process(models / "transformer") as (started, address), ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(ask, address, text) for text in TEXTS[:8]]
        until(lambda: outcomes.count(200) > 100)
        stopped.set()
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) == 0
        for client in clients:
            client.result()  # no answer was cut off, no connection reset
    assert set(outcomes) <= {200, 503, "refused"} and outcomes.count(503) + outcomes.count("refused") >= 8


def test_answers_leave_at_once(tfidf):
    """The sockets of callers have TCP's delay switched off: with it, every answer would wait for an acknowledgement."""
    with running(tfidf) as client:
        client.get("/health")
        [connection] = client.server.server_state.connections
        assert connection.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# who may ask


def test_a_token_guards_what_answers_and_not_the_page(tfidf):
    with running(tfidf, token=TOKEN) as client:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
            for answer in (
                client.post("/predict", json={"texts": ["x"]}, headers=headers),
                client.get("/model", headers=headers),
                client.get("/metrics", headers=headers),
            ):
                assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        for path in ("/", "/static/page.js", "/health", "/docs", "/openapi.json"):
            assert client.get(path).status_code == 200
        client.headers["authorization"] = f"bearer {TOKEN}"
        assert post(client, texts=["Prices rose."]).status_code == 200
        assert client.get("/model").status_code == client.get("/metrics").status_code == 200


def test_it_does_not_start_for_other_machines_without_a_token(models, capsys, monkeypatch):
    command = ["serve", "--model", str(models / "tfidf"), "--port", "0", "--host"]
    monkeypatch.delenv("CONFLICT_CLAIMS_TOKEN", raising=False)
    for host in ("0.0.0.0", "::", socket.gethostbyname(socket.gethostname())):
        if host.startswith("127."):
            continue
        assert main([*command, host]) == 2
        assert "set the environment variable CONFLICT_CLAIMS_TOKEN" in capsys.readouterr().err
    for weak in ("short", "with spaces in it, long", "f\u00fcnfzehn-und-mehr-zeichen"):
        monkeypatch.setenv("CONFLICT_CLAIMS_TOKEN", weak)
        assert main([*command, "0.0.0.0"]) == 2
        assert "at least 16 ASCII characters" in capsys.readouterr().err


def test_a_process_open_to_others_asks_for_the_token(models):
    with process(models / "tfidf", "--host", "0.0.0.0", CONFLICT_CLAIMS_TOKEN=TOKEN) as (_, address):
        address = address.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(address + "/model").status_code == 401
        assert httpx.get(address + "/model", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_an_address_that_cannot_be_had_is_one_sentence(models, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments in (["--port", port], ["--host", "no such host"], ["--port", "70000"]):
            assert main(["serve", "--model", str(models / "tfidf"), *arguments]) == 2
            said = capsys.readouterr().err
            assert said.count("\n") == 1 and re.search("choose another|an address of this machine|to 65535", said), said


def test_without_the_extra_the_error_says_what_to_install(models):
    code = (
        "import sys; sys.modules['fastapi'] = None\n"
        f"from conflict_claims.cli import main; sys.exit(main(['serve', '--model', {str(models / 'tfidf')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "pip install 'PATH-OF-THE-CLONE[serve]'" in done.stderr


# measures and documentation


def test_the_measures_count_what_happened(tfidf):
    with running(tfidf) as client:
        for _ in range(3):
            post(client, texts=TEXTS[:2])
        post(client, texts=[])
        client.get("/nothing/here")
        families = text_string_to_metric_families(client.get("/metrics").text)
        found = {
            (s.name.removeprefix("conflict_claims_"), *s.labels.values()): s.value for f in families for s in f.samples
        }
    assert found["requests_total", "/predict", "200"] == 3 and found["requests_total", "/predict", "422"] == 1
    assert found["requests_total", "other", "404"] == 1
    assert found["batch_sentences_sum",] == 6 and found["batch_requests_count",] == 3
    assert found["request_seconds_count", "/predict"] == 4
    assert found["requests_in_place",] == 0 and found["places",] == 64


def test_pages_and_documentation_come_from_here_alone(api):
    for path in ("/", "/docs"):
        page = api.get(path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "http" not in policy
        assert "//" not in page.text.replace("<!doctype html>", "")
    assert api.get("/docs/assets/swagger-ui-bundle.js").status_code == 200
    assert api.get("/static/../app.py").status_code == 404


def test_every_answer_is_one_that_the_documentation_promises(models, tmp_path):
    """schemathesis reads /openapi.json, and asks what fits it and what does not."""
    with process(models / "tfidf", CONFLICT_CLAIMS_TOKEN=TOKEN) as (_, address):
        statuses = ["400", "401", "404", "405", "408", "413", "415", "422", "5xx"]  # its own list has no 413
        config = tmp_path / "schemathesis.toml"
        config.write_text(f"[checks.negative_data_rejection]\nexpected-statuses = {statuses}\n")
        command = f"schemathesis.cli --config-file {config} run {address}/openapi.json --checks all --seed 1".split()
        command += ["--max-examples", "25", "--no-color", "--header", f"Authorization: Bearer {TOKEN}"]
        done = subprocess.run(
            [sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=tmp_path
        )
    assert done.returncode == 0, re.sub("0{100,}", "0...0", done.stdout)[-6000:]
