"""Lets a model version be champion, and be served, only while the auditor's status of that very version allows it."""
