"""What knows no commands and no physics: bounded files, errors, plug-in loading, array aliases.

Below all rooms; imports nothing of ours.
"""
