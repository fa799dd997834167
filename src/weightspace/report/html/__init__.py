"""The HTML page of a dissection."""
