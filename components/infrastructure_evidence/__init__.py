"""Where the cluster keeps what was done to it: immutable documents, readable by the auditor."""
