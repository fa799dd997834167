"""One module a figure: its finding, how to read it, its chart and its section of the page."""
