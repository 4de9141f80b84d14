"""The prediction log: what models were asked, what they answered, and what turned out to be true."""
