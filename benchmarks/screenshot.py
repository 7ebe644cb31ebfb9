"""Pictures of the page, light and dark, with a model and an invented article.

    python benchmarks/screenshot.py [--model models/transformer] [--output docs]

Needs Debian's chromium (apt-get install chromium) and the extras [serve] and [dev].
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ARTICLE = Path("examples/article.txt")
WIDE, NARROW = {"width": 1160, "height": 1090}, {"width": 390, "height": 844}


def main() -> None:
    """Start the service, read the article, take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/transformer")
    parser.add_argument("--output", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "conflict_claims.cli", "serve", "--model", arguments.model, "--port", "0"]
    service = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert service.stderr is not None
    try:
        said = service.stderr.readline()
        address = next((part for part in said.split() if part.startswith("http://")), None)
        if address is None:
            raise SystemExit(said)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for scheme in ("light", "dark"):
                take(browser, address, scheme, WIDE, arguments.output / f"page-{scheme}.png")
            take(browser, address, "light", NARROW, arguments.output / "page-phone.png")
    finally:
        service.terminate()
        service.wait()


def take(browser: Browser, address: str, scheme: str, size: dict[str, int], output: Path) -> None:
    """Read the article and ask which words moved a label."""
    context = browser.new_context(color_scheme=scheme, viewport=size, device_scale_factor=1.25, reduced_motion="reduce")  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(address)
    page.get_by_label("Paste a report").fill(ARTICLE.read_text(encoding="utf-8"))
    page.get_by_role("button", name="Read", exact=True).click()
    page.locator(".sentence", has_text="A spokesman").click()
    page.locator(".ranked").wait_for()
    page.screenshot(path=output)
    context.close()


if __name__ == "__main__":
    main()
