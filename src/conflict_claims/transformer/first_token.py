"""The last layer for the first token alone: the head reads no other.

Same weights, same logits; of the last layer only keys and values are left to compute for the other tokens. That is one
layer's work saved, all but a sixth, in training and in the exported model alike.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel


def only_first_token(model: PreTrainedModel) -> None:
    """Change the last layer's `forward` in place.

    Only where the head reads the first token and the layers are known here (BERT, MPNet); others stay as they are.

    Args:
        model: one of transformers' models for sequence classification.
    """
    forwards: dict[str, Callable[..., Any]] = {"bert": _bert, "mpnet": _mpnet}
    if model.config.model_type in forwards:
        layer = model.base_model.encoder.layer[-1]
        layer.forward = partial(forwards[model.config.model_type], layer)


def _bert(
    layer: Any,  # noqa: ANN401 - transformers' modules are not typed
    hidden: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    *_: object,
    **__: object,
) -> torch.Tensor:
    """BertLayer.forward: from (batch, length, width) to (batch, 1, width)."""
    part = layer.attention.self
    found = _attend(hidden, part.query, part.key, part.value, part.num_attention_heads, attention_mask, part.dropout)
    return _feed_forward(layer, layer.attention.output(found, hidden[:, :1]))


def _mpnet(
    layer: Any,  # noqa: ANN401
    hidden: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    position_bias: torch.Tensor | None = None,
    *_: object,
    **__: object,
) -> tuple[torch.Tensor]:
    """MPNetLayer.forward: as that of BERT; what depends on position is added to the mask."""
    part, after = layer.attention.attn, layer.attention
    bias = position_bias
    if attention_mask is not None:
        bias = attention_mask if bias is None else attention_mask + bias
    found = _attend(hidden, part.q, part.k, part.v, part.num_attention_heads, bias, part.dropout)
    return (_feed_forward(layer, after.LayerNorm(after.dropout(part.o(found)) + hidden[:, :1])),)


def _attend(
    hidden: torch.Tensor,
    query: torch.nn.Module,
    key: torch.nn.Module,
    value: torch.nn.Module,
    heads: int,
    bias: torch.Tensor | None,
    dropout: torch.nn.Dropout,
) -> torch.Tensor:
    """What the first token gathers from all, (batch, 1, width); `bias` broadcasts to (batch, heads, length, length)."""

    def split(states: torch.Tensor) -> torch.Tensor:
        return states.view(*states.shape[:2], heads, -1).transpose(1, 2)

    # One row a head: here the fused kernel costs no more than attention written out.
    q, k, v = split(query(hidden[:, :1])), split(key(hidden)), split(value(hidden))
    bias = None if bias is None else bias[:, :, :1]
    share = dropout.p if dropout.training else 0.0
    return scaled_dot_product_attention(q, k, v, bias, share).transpose(1, 2).flatten(2)


def _feed_forward(layer: Any, attended: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    result: torch.Tensor = layer.output(layer.intermediate(attended), attended)
    return result
