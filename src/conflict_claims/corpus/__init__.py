"""The labelled corpus: records, splits, near-duplicates, agreement."""
