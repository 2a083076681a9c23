"""Ways past the gate, each tried on live servers: what is tried, what comes of it, and the page that tells of both."""
