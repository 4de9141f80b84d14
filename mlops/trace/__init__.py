"""The command that follows one prediction; what it collects and judges is `cabc_platform.trace`."""
