"""A simulated Keysight B1500A mainframe: FLEX commands to its SMUs, in front of a probe station's cables."""

from __future__ import annotations
