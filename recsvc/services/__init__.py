"""The use cases. They know no HTTP."""
