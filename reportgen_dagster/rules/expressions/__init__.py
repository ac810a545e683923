"""Expressions: the gate that lets them in, both syntaxes, and what they mean as typed values."""
