"""What figures are drawn with: canvases, charts, rows, places."""
