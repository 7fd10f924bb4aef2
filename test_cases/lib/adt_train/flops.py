"""Floating-point operations of training, for TFLOP/s and MFU."""

from __future__ import annotations


def flops_per_token(weights: int, layers: int, attention_width: int, sequence_length: int) -> float:
    """Operations of forward and backward for one token: 6 N + 12 L H Q T.

    Two for each weight that multiplies the token forward and four backward (6 N); in each layer the scores and the
    weighted sum of T places, forward and backward (12 H Q T). What a causal mask leaves out is not taken off and
    recomputation is not added: the convention of PaLM (arXiv 2204.02311, appendix B), which torchtitan follows too.

    :param weights: N: those that multiply a token. Tables that are only looked up and experts left idle do not count.
    :param attention_width: H Q, heads times width of a head.
    :param sequence_length: T, tokens.
    """
    return 6.0 * weights + 12.0 * layers * attention_width * sequence_length
