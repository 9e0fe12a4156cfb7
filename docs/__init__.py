"""What the documents are built with."""
