"""Results of any evaluation harness as score tables: files are read here, and nothing is decided.

layout      which column of a plain table means what
source      a file's bytes, unpacked
rows        rows of plain tables, one per item, every cell checked
jsonl, csvtable, parquet    plain tables on disk
foreign     rows of other tools: repeats, errors, fields
promptfoo, promptfoo_csv, inspect_log, lm_eval, deepeval, mlflow_table, junit    their formats
lm_eval_run lm-eval's averages, by which its samples are found
folder      a folder → the one file of results in it
load        a path → its results
paired      many systems on the same items, for calibrating the gate
"""
