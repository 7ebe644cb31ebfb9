"""The page, in a real browser: headless Chromium against a service that runs."""

import csv
import io
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import expect, sync_playwright

from conflict_claims.explain import explain
from conflict_claims.runtime import load
from conflict_claims.serve.limits import Limits

from .conftest import LABELS, ROOT
from .service import Held, running, until

ARTICLE = (ROOT / "examples/article.txt").read_text(encoding="utf-8")
STATIC = ROOT / "src/conflict_claims/serve/static"
HOSTILE = """<script>window.hurt = 1</script> <img src=x onerror="window.hurt = 2"> Three people were killed.

=HYPERLINK("http://evil.example","+1") was what the army said. @SUM(1+1) was heard by residents \U0001f600\U0001f468\u200d\U0001f469. -2+3 soldiers came."""
TOKEN = "a-token-of-thirty-two-characters"


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def model(models):
    return load(models / "tfidf")


@pytest.fixture(scope="module")
def address(model):
    with running(model) as client:
        yield str(client.base_url)


@pytest.fixture
def page(browser, address):
    context = browser.new_context(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(address)
    yield page
    assert not page.complaints  # the content policy complains here too
    assert all(url.startswith((address, "blob:")) for url in page.asked), page.asked
    context.close()


def read(page, text):
    page.get_by_label("Paste a report").fill(text)
    page.get_by_role("button", name="Read", exact=True).click()
    expect(page.locator("#reader")).to_be_visible()


def sentences(page):
    """What stands in the text: each sentence and the claims that are said of it."""
    take = """all => all.map(s => [s.firstChild.data, s.querySelector('.hidden')?.textContent ?? '', s.className])"""
    return page.locator(".sentence").evaluate_all(take)


def counts(page):
    return [int(n) for n in page.locator("#claims .count").all_text_contents()]


def said_of(labels):
    return f" ({', '.join(label.replace('_', ' ') for label in labels)})" if labels else ""


def slider(page, label):
    return page.get_by_label(f"Threshold of {label.replace('_', ' ')}")


def claim(page, title):
    return page.locator("#claims").get_by_role("button", name=title)


def test_an_article_comes_back_in_place_with_its_claims(page, model):
    text = f"Café \U0001f600 closed. {ARTICLE}"
    read(page, text)
    predicted = model.predict(text)
    assert [(t, said) for t, said, _ in sentences(page)] == [(p.text, said_of(p.labels)) for p in predicted]
    assert counts(page) == [sum(label in p.labels for p in predicted) for label in LABELS]
    whole = page.locator("#article").evaluate(
        "a => { for (const m of a.querySelectorAll('.marks')) m.remove(); return a.textContent }"
    )
    assert whole == text.rstrip()
    several = next(i for i, p in enumerate(predicted) if len(p.labels) > 1)
    assert (
        page.locator(".sentence").nth(several).evaluate("s => getComputedStyle(s).backgroundImage").count("gradient")
        > 1
    )
    expect(page.get_by_role("status")).to_contain_text(f"{len(predicted)} sentences")


def test_probabilities_show_at_the_pointer_and_at_the_keyboard(page, model):
    read(page, ARTICLE)
    second, third = model.predict(ARTICLE)[1:3]
    page.locator(".sentence").nth(1).hover()
    for label in LABELS:
        expect(page.locator("#card")).to_contain_text(f"{second.probabilities[label]:.2f}")
    page.locator("h1").hover()
    expect(page.locator("#card")).to_be_hidden()
    page.locator(".sentence").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#card")).to_contain_text(f"{third.probabilities['eyewitness']:.2f}")


def test_filters_leave_the_sentences_of_a_claim(page, model):
    read(page, ARTICLE)
    given = ["casualty" in p.labels or "eyewitness" in p.labels for p in model.predict(ARTICLE)]
    assert any(given) and not all(given)
    claim(page, "Casualty").click()
    claim(page, "Eyewitness").click()
    assert [" dimmed" not in classes for *_, classes in sentences(page)] == given
    page.get_by_label("Hide other sentences").check()
    assert page.locator(".sentence:visible").count() == sum(given)
    page.locator(".sentence:visible").first.focus()
    for _ in range(sum(given) - 1):
        page.keyboard.press("ArrowDown")
    expect(page.locator(".sentence:visible").last).to_be_focused()
    claim(page, "Casualty").click()
    claim(page, "Eyewitness").click()
    assert page.locator(".sentence:visible").count() == len(given)


def test_thresholds_are_moved_in_the_browser(page, model):
    read(page, ARTICLE)
    asked = len(page.asked)
    at_first = counts(page)
    for threshold in (0.99, 0.02):
        slider(page, "official_statement").fill(str(threshold))
        expected = sum(p.probabilities["official_statement"] >= threshold for p in model.predict(ARTICLE))
        assert counts(page)[LABELS.index("official_statement")] == expected
    expect(page.get_by_role("status")).to_contain_text(f"{expected} official statement")
    page.get_by_role("button", name="Reset thresholds").click()
    assert counts(page) == at_first and len(page.asked) == asked


def test_it_shows_which_words_moved_a_label(page, model):
    read(page, ARTICLE)
    first = model.predict(ARTICLE)[0]
    page.locator(".sentence").first.click()
    card = page.get_by_role("dialog", name="Which words moved a label")
    for label, title in (("casualty", "Casualty"), ("eyewitness", "Eyewitness")):
        card.get_by_role("radio", name=title).check()
        ranked = sorted(explain(model, first.text)[label], key=lambda word: -abs(word.weight))[:5]
        expected = [f"{w.word} {'−' if w.weight < 0 else '+'}{abs(w.weight):.1f}" for w in ranked]
        expect(card.locator(".ranked li")).to_have_text(expected)
        assert card.locator(".sentence-words").text_content() == first.text
    page.locator("h1").click()
    expect(card).to_be_hidden()


def downloaded(page, name):
    with page.expect_download() as download:
        page.get_by_role("button", name=name, exact=True).click()
    return download.value.path().read_bytes().decode("utf-8")


def test_the_table_is_what_is_shown_and_runs_no_formula(page, model):
    read(page, HOSTILE)
    slider(page, "eyewitness").fill("0.01")
    predicted = model.predict(HOSTILE)
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "CSV"), newline="")))
    assert [row["text"].removeprefix("'") for row in rows] == [p.text for p in predicted]
    assert {row["text"][0] for row in rows if row["text"].removeprefix("'")[0] in "=@-+"} == {"'"}
    assert sum(row["text"][0] == "'" for row in rows) >= 3
    lines = [json.loads(line) for line in downloaded(page, "JSONL").splitlines()]
    for row, line, p in zip(rows, lines, predicted, strict=True):
        assert (line["text"], line["start"], line["end"]) == (p.text, p.start, p.end)
        assert line["probabilities"] == pytest.approx(p.probabilities)
        labels = [
            n for n in LABELS if p.probabilities[n] >= (0.01 if n == "eyewitness" else model.manifest.thresholds[n])
        ]
        assert line["labels"] == labels and row["labels"] == ";".join(labels)
        assert float(row["casualty"]) == pytest.approx(p.probabilities["casualty"], abs=1e-4)


def test_what_is_pasted_stays_text(page):
    read(page, HOSTILE)
    page.locator(".sentence").first.click()
    page.locator(".ranked").wait_for()
    assert page.evaluate("window.hurt") is None
    assert page.locator("main img, main script, #card img, #card script").count() == 0
    assert "<script>window.hurt = 1</script>" in page.locator("#article").text_content()


def test_everything_can_be_done_from_the_keyboard(page):
    for _ in range(9):
        page.keyboard.press("Tab")
        if page.locator("#text").evaluate("t => t === document.activeElement"):
            break
    page.keyboard.insert_text("Residents said the army had retaken the town. Three people were killed. Prices rose.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".sentence").first).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    killed = page.locator(".sentence", has_text="killed")
    expect(killed).to_be_focused()
    outline = killed.evaluate("s => getComputedStyle(s).outlineStyle + getComputedStyle(s).outlineWidth")
    assert outline == "solid2px"
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("killed")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio").nth(1)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(killed).to_be_focused()
    page.keyboard.press("Tab")
    expect(claim(page, "Casualty")).to_be_focused()
    page.keyboard.press("Space")
    assert claim(page, "Casualty").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Reset thresholds")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_never_scrolls_sideways(page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 740})
    fits = "document.documentElement.scrollWidth <= 360"
    assert page.evaluate(fits)
    read(page, f"{ARTICLE}\n\n{'x' * 400}")
    assert page.evaluate(fits)
    page.get_by_role("button", name="Thresholds", exact=True).click()
    expect(slider(page, "casualty")).to_be_visible()
    page.locator(".sentence").nth(2).click()
    page.locator(".ranked").wait_for()
    assert page.evaluate(fits)
    page.locator(".sentence").first.focus()
    assert page.evaluate(fits)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(c => c < 60)")
    assert dark == (scheme == "dark")


def choose(page, name, content):
    raw = content if isinstance(content, bytes) else content.encode("utf-8")
    page.locator("#file").set_input_files({"name": name, "mimeType": "text/plain", "buffer": raw})


def test_files_are_read(page):
    choose(page, "report.txt", ARTICLE)
    expect(page.locator(".sentence")).to_have_count(11)
    page.get_by_role("button", name="New text").click()
    quoted = 'id,text,title\r\n=1,"Two people were killed, ""officials"" said.\r\n\r\nPrices rose.",<b>One</b>\r\nb,Nobody came.,Two\r\n'
    choose(page, "table.csv", "\ufeff" + quoted)
    expect(page.locator("#article h2")).to_have_text(["<b>One</b>", "Two"])
    assert [t for t, *_ in sentences(page)] == [
        'Two people were killed, "officials" said.',
        "Prices rose.",
        "Nobody came.",
    ]
    rows = list(csv.DictReader(io.StringIO(downloaded(page, "CSV"), newline="")))
    assert [(row["id"], row["row"]) for row in rows] == [("'=1", "1"), ("'=1", "1"), ("b", "2")]
    page.get_by_role("button", name="New text").click()
    lines = [{"text": f"Number {k} came."} for k in range(120)]
    choose(page, "table.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    expect(page.locator(".sentence")).to_have_count(120)
    data = page.evaluate_handle(
        "() => { const d = new DataTransfer(); d.items.add(new File(['It fell.'], 'a.txt')); return d }"
    )
    page.dispatch_event("main", "drop", {"dataTransfer": data})
    expect(page.locator(".sentence")).to_have_count(1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "headline,body\nx,y\n", 'a.csv, line 2: expected a column "text", found headline, body'),
        ("a.csv", "text,id\nx\n", "a.csv, line 2: expected 2 columns, found 1"),
        ("a.csv", 'text\nx"y"z\n', "a quote is out of place"),
        ("a.jsonl", '{"text": "x"}\n{"text"\n', "a.jsonl, line 2: broken JSON"),
        ("a.jsonl", '{"text": 7}\n', "a.jsonl, line 1: expected a text"),
        ("a.txt", b"\xff\xfe\x00", "a.txt is not UTF-8 text"),
        ("a.txt", " \n ", "nothing to read yet"),
        ("a.txt", "word " * 110_000, "the page reads up to 500,000"),
    ],
)
def test_files_that_cannot_be_read_say_why(page, name, content, message):
    choose(page, name, content)
    expect(page.get_by_role("alert")).to_contain_text(message)


def test_a_long_text_is_read_in_pieces_and_none_is_lost(page, model):
    text = "\n\n".join(f"{ARTICLE.strip()} Part \U0001f600 {k} ended." for k in range(60))
    read(page, text)
    expect(page.locator(".sentence")).to_have_count(len(model.predict(text)), timeout=30_000)
    lines = [json.loads(line) for line in downloaded(page, "JSONL").splitlines()]
    assert all(text[line["start"] : line["end"]] == line["text"] for line in lines)
    assert sum(url.endswith("/predict") for url in page.asked) > 1


def test_a_service_with_a_token_asks_for_it(browser, model):
    with running(model, token=TOKEN) as client:
        page = browser.new_page()
        page.goto(str(client.base_url))
        page.get_by_label("asks for its token").fill(TOKEN)
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#model")).to_have_text("a model")
        read(page, "Prices rose.")
        expect(page.locator(".sentence")).to_have_count(1)
        page.close()


def test_a_service_that_has_gone_is_said(browser, model):
    with running(model) as client:
        page = browser.new_page()
        page.goto(str(client.base_url))
        expect(page.locator("#model")).to_have_text("a model")
    page.get_by_label("Paste a report").fill("Prices rose.")
    page.get_by_role("button", name="Read", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Is it still running?")
    page.close()


def test_a_busy_service_is_asked_again(browser, model):
    held = Held(model)
    with running(held.model, limits=Limits(waiting=1)) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/predict", json={"texts": ["Prices rose."]})
        until(lambda: held.sizes)
        page = browser.new_page()
        page.goto(str(client.base_url))
        page.get_by_label("Paste a report").fill("Nobody came.")
        with page.expect_response(lambda answer: answer.status == 503):
            page.get_by_role("button", name="Read", exact=True).click()
        held.free.set()
        expect(page.locator(".sentence")).to_have_count(1)
        page.close()
        assert first.result().status_code == 200


def test_the_documentation_of_the_api_shows(page, address):
    page.goto(f"{address}/docs")
    expect(page.locator(".opblock")).to_have_count(4)


# without a browser


def test_the_sample_is_the_article_of_the_examples():
    assert (STATIC / "sample.txt").read_text(encoding="utf-8") == ARTICLE


def test_nothing_of_the_page_names_another_host_or_makes_markup_of_text():
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"""https?://(?!www\.w3\.org/2000/svg)|innerHTML|outerHTML|insertAdjacentHTML|eval\(|style=""", text
        ), path


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_and_claims_stand_out_in_light_and_dark():
    """Contrast of at least 4.5 to 1 (WCAG AA) for text, soft text, badges, and the lines under sentences."""
    blocks = re.findall(r":root \{(.*?)\}", (STATIC / "style.css").read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        colour = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        claims = [name for name in colour if name.startswith("claim-")]
        assert len(claims) == 8
        pairs = [(ink, ground) for ink in ("ink", "soft", *claims) for ground in ("paper", "sheet")]
        for ink, ground in [*pairs, *(("on-claim", name) for name in claims)]:
            light, dark = sorted((luminance(colour[ink]), luminance(colour[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)
