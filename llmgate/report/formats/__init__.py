"""One module per format: worded rows → HTML, Markdown, terminal, GitHub. No wording of facts here."""
