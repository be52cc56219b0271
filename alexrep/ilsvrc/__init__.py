"""The data set as distributed: editions, devkits, archives, repairs, and the demo edition."""
