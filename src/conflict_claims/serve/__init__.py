"""A model over HTTP, and a page to read with it (extra `[serve]`)."""
