"""Results of any evaluation harness as score tables: files are read here, and nothing is decided.

layout      which column of a plain table means what
source      a file's bytes, unpacked
rows        rows of plain tables, one per item, every cell checked
jsonl, csvtable, parquet    plain tables on disk
foreign     rows of other tools: repeats, errors, fields
promptfoo, inspect_log, lm_eval, deepeval, mlflow_table    their formats
load        a path → its results
paired      many systems on the same items, for calibrating the gate
"""
