"""The path on one page, as `llmgate run` and the pytest plugin walk it.

    settings                   one run's options (options, pyproject.toml), typed and checked
    run.plan                   suite files → cases and policy, with the checks of users (run.custom_checks)
    run.models                 is every judge named, and may it gate (run.admissions)? before anything is started
    decide.records             finds the champion's record and notes it beside the run (resolve_baseline)
    run.fresh_champion         is the champion asked again beside the candidate? Then commands.both_arms asks both
    run.execute                measures, from opening a model to sealing the record:
      run.registered             can it be logged, and does it judge the registered version that it names?
      reach.sources, reach.target  a place of models or an endpoint → something that can be asked; reach.owned starts it
      run.power_check            what the gate will be able to decide
      run.manifest               who, what and where, written down before the first request
      run.serving_arms           which suites compare serving, where the champion is served, and how both are hosted
      run.measure                cases → answers → scores, each in the record at once
      run.early_stopping         which suites may stop before their end
      run.judge_canaries, run.anchors, run.embed_outputs    facts about judges and answers, for the decision
      serving.compare            candidate and champion, run by run, where serving gates
    decide.records             records → decision (decide_run)
      attempts.counting          which attempt at its candidate it is, and the answers of those before it
    decide.publish             decision → report, MLflow; decide.github → CI
    decide.promote             decision, taken again → alias

Folders import downwards only: commands and admission → run → serving, ray → reach, decide → attempts → the modules
here. Import modules, not this package: the doors must be able to read the options without loading the rest.
"""
