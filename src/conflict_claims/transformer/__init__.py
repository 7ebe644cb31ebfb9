"""The fine-tuned encoder. The only package that imports torch and transformers.

Read in this order: `classifier` (what it is), `loop` (how it learns), `checkpoint` (how it survives), `export`
(how it leaves torch behind).
"""

from conflict_claims.transformer.classifier import TransformerClassifier

__all__ = ["TransformerClassifier"]
