"""Shipped descriptions of public data, one YAML file each; the data themselves are not part of the package."""
