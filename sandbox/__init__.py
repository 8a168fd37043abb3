"""Decoding in a separate process: `client` asks, `server` decodes, `children` are the processes."""
