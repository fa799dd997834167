"""The page of an audit: its verdicts, its evidence with pictures, its facts."""
