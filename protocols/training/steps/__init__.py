"""The training steps a runbook names.

The top floor of training/: imports everything below.
"""
