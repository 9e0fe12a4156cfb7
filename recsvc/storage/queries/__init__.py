"""Statements against the tables, a module a noun. None of them commits: the caller owns the transaction."""
