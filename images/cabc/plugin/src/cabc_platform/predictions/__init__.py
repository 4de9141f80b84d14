"""Pages of the auditor's service: the life of one prediction, for those who may see confidential details."""
