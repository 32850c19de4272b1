"""Hand results to other programs in the formats that they read, and take theirs."""
