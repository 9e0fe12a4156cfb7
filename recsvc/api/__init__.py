"""The HTTP API, version 1: a blueprint a noun. Parses, authorises, calls a use case, writes it out."""
