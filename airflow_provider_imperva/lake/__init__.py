"""Where the logs go: objects of a lake, its ledger, and the watermark."""
