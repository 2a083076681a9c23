"""What lm-evaluation-harness says: tasks, documents, options, examples, filters and logs."""
