"""Keysight B1500A: the SMUs of the mainframe, over FLEX, as source-measure units of a probe station."""

from __future__ import annotations
