"""Shipped chip profiles, one YAML file each; load them with ``mockhw.profile.load_profile``."""
