"""Figures of networks on the array: how they learn, where they are on the chip.

Imports estimates/ and plots/.
"""
