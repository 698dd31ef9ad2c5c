"""Stage 1: a chat room without a server."""
