"""`llmgate schema`."""

from __future__ import annotations

from pathlib import Path

import click

from llmgate.cli.frame import Command

__all__ = ["schema"]


@click.command(cls=Command)
@click.argument("kind", type=click.Choice(["suite", "policy", "verdict", "override"]))
def schema(kind: str) -> None:
    r"""Print a JSON Schema: of suite or policy files for editors, or of what llmgate signs.

    With it an editor completes keys and assert types, shows what each means and underlines what is misspelt. Checks
    of your own that `conftest.py` defines in the working folder are among the assert types. For VS Code (YAML
    extension) and every editor with yaml-language-server:

    \b
      llmgate schema suite > suite.schema.json
      # and in the suite, as its first line:
      # yaml-language-server: $schema=suite.schema.json

    `verdict` and `override` are the statements in signed verdicts, as `llmgate verdict show --json` prints them.
    """
    from llmgate.session.commands.json_schemas import schema_text

    click.echo(schema_text(kind, Path.cwd()), nl=False)
