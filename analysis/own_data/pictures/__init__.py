"""Figures of foreign data that no analysis of a run has."""
