"""Files that people send: kept without a name while they are read, and read in a child process of their own."""
