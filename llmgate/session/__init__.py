"""The path on one page: plan → measure → decide → publish.

    options     every option once, for the command line, pytest and pyproject.toml
    settings    one run's options, typed and checked
    plan        suite files → cases
    target      a model folder or an endpoint → something that can be asked, with its identity
    measure     cases → answers, scores, serving timings, in a run record
    outcome     records → decision (imports nothing that talks to a model)
    publish     decision → report, MLflow, job summary
    run         all of it, in order

Import the modules, not this package: the doors must be able to read the options without loading the rest.
"""
