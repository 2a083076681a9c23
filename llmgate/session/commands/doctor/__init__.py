"""What `llmgate doctor` looks at: checks that find something each, and change nothing."""
