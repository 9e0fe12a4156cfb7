"""A demonstration shop: a catalogue of real books and generated readers."""
