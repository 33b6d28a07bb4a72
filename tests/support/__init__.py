"""What several tests use: other ends of a cable, arrays of numbers, benches in a folder.

Pytest puts ``tests`` on the path: ``from support.fake_board import FakeBoard``.
"""
