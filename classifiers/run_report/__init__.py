"""What a run made, on one page: every number is a question to the run's catalogue or a figure of its evaluation."""
