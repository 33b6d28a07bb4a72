"""What a run leaves on disk: folder, journal, units of work, datasets, resume.

Imports plan and common/.
"""
