"""The database and the model store. Knows no numerics, no HTTP and no queue."""
