"""Results as tables in a terminal and as Markdown."""
