"""What ``pytest --pyargs xbarlab.conformance`` collects.

pytest may import this file by another name than the package's, so the suite is imported by its full name.
"""

from xbarlab.conformance.suite import subject, test_contract  # pyright: ignore[reportMissingImports]

__all__ = ["subject", "test_contract"]
