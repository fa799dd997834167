"""Tools for drawing figures: canvases, charts, rows, places."""
