"""What starts a run: schedules, webhooks, watches, files."""
