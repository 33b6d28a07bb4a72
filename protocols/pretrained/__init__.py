"""Networks that were trained elsewhere, on a chip: written, compensated for drift, evaluated as they age.

Imports training/, programming/, keeping/ and plan.
"""
