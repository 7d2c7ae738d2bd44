"""Real servers on loopback for tests, shared by all workers of one pytest, gone when it is."""
