"""What the worker runs, and when. Enqueued by dotted name, so that recsvc need not import it."""
