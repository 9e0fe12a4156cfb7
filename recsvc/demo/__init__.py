"""A bookshop to try the service with: real books, generated readers, and every process of the Procfile."""
