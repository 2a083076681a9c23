"""Several servers of one model that answer as one: whom a request goes to, and which of them are healthy."""
