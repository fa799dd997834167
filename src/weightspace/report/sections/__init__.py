"""One module for each figure: finding, how to read it, chart, and section of the page."""
