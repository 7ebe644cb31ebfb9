"""Do the words that `explain` names move the label? Delete a fifth of a sentence's words: the named ones, random ones.

python benchmarks/faithfulness.py models/transformer models/tfidf [--data data/splits/validation.jsonl] [--rows 300]
"""

import argparse
import random
import sys
from pathlib import Path

from conflict_claims.corpus.records import read_rows
from conflict_claims.explain import faithfulness
from conflict_claims.markdown import insert_block
from conflict_claims.runtime import load

BEGIN, END = "<!-- made by make faithfulness -->", "<!-- end of faithfulness -->"
HEAD = """
| model | sentences and labels | drop: words named | drop: random words | label lost: named | label lost: random |
|---|---|---|---|---|---|
"""


def main() -> None:
    """Measure each model and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="model folders")
    parser.add_argument("--data", type=Path, default=Path("data/splits/validation.jsonl"))
    parser.add_argument("--rows", type=int, default=300, help="so many sentences, drawn at random with a fixed seed")
    parser.add_argument("--output", type=Path, default=Path("experiments/faithfulness.md"))
    parser.add_argument("--insert", type=Path, help="Markdown file whose marked block is replaced by the table")
    arguments = parser.parse_args()
    texts = [row["text"] for _, row in read_rows(arguments.data)]
    drawn = random.Random(0).sample(texts, min(arguments.rows, len(texts)))
    table = f"{len(drawn)} sentences of {arguments.data}.\n{HEAD}"
    for folder in arguments.models:
        f = faithfulness(load(folder), drawn)
        table += f"| {folder.name} | {f['cases']} | {f['named']:.2f} | {f['random']:.2f} "
        table += f"| {f['named_lost']:.0%} | {f['random_lost']:.0%} |\n"
    arguments.output.write_text(f"# Faithfulness of explain\n\n{table}", encoding="utf-8")
    if arguments.insert is not None:
        insert_block(arguments.insert, table, BEGIN, END)
    sys.stdout.write(table)


if __name__ == "__main__":
    main()
