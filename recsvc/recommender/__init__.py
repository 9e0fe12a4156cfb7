"""The numerics: arrays in, arrays out. Imports no server, no database and no queue."""
