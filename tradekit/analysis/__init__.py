"""Why it went as it did, and what would have been better: records and bars in, records out."""
