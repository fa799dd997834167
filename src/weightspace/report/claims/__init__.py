"""What the numbers support: findings, rankings, the headline, and numbers in words."""
