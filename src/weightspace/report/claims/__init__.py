"""What may be said of results: numbers in words, rankings, the headline."""
