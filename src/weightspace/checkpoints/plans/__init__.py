"""Plans of plain chains from shapes and names, so that others can build the net again."""
