"""What an operator runs: Markdown a person reads, with front matter the machine runs."""
