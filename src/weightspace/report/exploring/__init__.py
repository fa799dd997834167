"""The explorer of a zoo: one page with a map of its nets, and with details of each of them."""
