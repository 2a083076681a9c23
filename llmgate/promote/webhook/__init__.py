"""What an MLflow registry tells by webhook, and what of it may be believed. Reads no socket and starts nothing.

A delivery is refused (`refusal`) unless its signature holds (`signature`) and it is new (`replay`); only then is it
read (`events`). A new version fills in the operator's command (`command`); an alias is compared with the server's
ledger (`ledger`). `registry` asks MLflow.
"""
