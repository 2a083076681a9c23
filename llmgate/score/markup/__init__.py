"""Assert types on HTML and XML. They judge form; nothing is fetched or rendered."""
