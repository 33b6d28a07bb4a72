"""Data sets, one file per task: small derived arrays that come with the project, each with source and licence."""
