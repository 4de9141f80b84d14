"""The auditor: measures every served model against its conformity specification, and says whether it conforms."""
