"""Modules of the user's own: from a file's text to M nets that train together or in turn."""
