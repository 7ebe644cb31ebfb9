"""A report as one HTML page that needs nothing beside it, and as a Markdown model card in the form of the Hub."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from conflict_claims.markdown import table
from conflict_claims.sections import Evidence, Figure, Section, Table

NAMES = {"tfidf": "TF-IDF and logistic regression", "transformer": "a fine-tuned encoder"}


def page(evidence: Sequence[Evidence], parts: Sequence[Section], figures: Mapping[str, str]) -> str:
    """The HTML page: one file, no script, no address of anything else.

    Args:
        evidence: of one model.
        parts: its sections.
        figures: SVG elements by name.
    """
    first = evidence[0]
    title = html.escape(f"Report on the model {first['model']}")
    body = []
    for k, part in enumerate(parts):
        blocks = "\n".join(_block(block, figures) for block in part.blocks)
        body.append(f'<section id="s{k}">\n<h2>{html.escape(part.title)}</h2>\n{blocks}\n</section>')
    links = " ".join(f'<a href="#s{k}">{html.escape(part.title)}</a>' for k, part in enumerate(parts))
    lead = f"{NAMES.get(first['kind'], first['kind'])}; conflict-claims {first['about']['package_version']}; scored on "
    lead += "; ".join(f"{of['data']} ({of['n']:,} sentences)" for of in evidence)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{Path(__file__).with_name("report.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<h1>{title}</h1>
<p class="lead">{html.escape(lead)}</p>
<nav>{links}</nav>
{chr(10).join(body)}
</body>
</html>
"""


def _block(block: str | Table | Figure, figures: Mapping[str, str]) -> str:
    if isinstance(block, str):
        return f"<p>{_inline(block)}</p>"
    if isinstance(block, Figure):
        if block.name not in figures:
            return ""
        picture = figures[block.name].replace("<svg ", f'<svg role="img" aria-label="{html.escape(block.says)}" ', 1)
        picture = re.sub(r'viewBox="0 0 ([\d.]+)', r'style="width: \1pt" viewBox="0 0 \1', picture, count=1)
        return f"<figure>\n{picture}\n<figcaption>{html.escape(block.says)}</figcaption>\n</figure>"
    head = "".join(f'<th scope="col">{_inline(cell)}</th>' for cell in block.head)
    rows = "\n".join(f"<tr>{''.join(f'<td>{_inline(cell)}</td>' for cell in row)}</tr>" for row in block.rows)
    kind = ' class="words"' if block.words else ""
    head = f"<thead><tr>{head}</tr></thead>\n" if any(block.head) else ""
    return f'<div class="scroll"><table{kind}>\n{head}<tbody>\n{rows}\n</tbody>\n</table></div>'


def _inline(text: str) -> str:
    escaped = html.escape(text)
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", escaped)


def card(evidence: Sequence[Evidence], parts: Sequence[Section]) -> str:
    """The Markdown model card: the same sections without figures, below the Hub's YAML head."""
    first = evidence[0]
    body = "\n\n".join(f"## {part.title}\n\n{_markdown(part)}" for part in parts)
    return f"{_head(evidence)}\n# Claim types in conflict reporting: {first['model']}\n\n{body}\n"


def _markdown(part: Section) -> str:
    written = [b for b in part.blocks if not isinstance(b, Figure)]
    return "\n\n".join(b if isinstance(b, str) else table(b.head, b.rows, numbers=not b.words) for b in written)


def _head(evidence: Sequence[Evidence]) -> str:
    """YAML of the form that the Hub reads; strings are written as JSON, which is YAML."""
    lines = ["---", "language: en", "license: apache-2.0", "library_name: conflict-claims"]
    lines += ["pipeline_tag: text-classification", "tags: [multi-label, conflict, news, OSINT]", "metrics: [f1]"]
    lines += ["model-index:", f"- name: {json.dumps(evidence[0]['model'])}", "  results:"]
    for of in evidence:
        lines += [
            "  - task: {type: text-classification}",
            f"    dataset: {{name: {json.dumps(of['data'])}, type: custom}}",
        ]
        lines += ["    metrics:"]
        for key, name in (("macro_f1", "macro-F1"), ("micro_f1", "micro-F1"), ("mean_average_precision", "mAP")):
            if of[key] is not None:
                kind = "average_precision" if key.startswith("mean") else "f1"
                lines.append(f"    - {{type: {kind}, name: {name}, value: {of[key]:.4f}}}")
    return "\n".join([*lines, "---"])
