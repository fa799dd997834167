"""What lies beside the tensors of a file: optimizer, schedule, counts, settings, number formats."""
