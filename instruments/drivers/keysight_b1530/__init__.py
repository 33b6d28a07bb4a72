"""Keysight B1530A WGFMU: its channels as the pulser of a probe station, through its maker's library by ``ctypes``."""

from __future__ import annotations
