"""What each file of a zoo holds, checked where it is read."""
