"""Chips whose numbers are drawn at random, what their physics says, and what the steps find through instruments.

For ``tests/benchmarks/study_coverage.py``. Imports anything of xbarlab but the analyses: truth never comes from them.
"""
