"""The command line that operates the platform. It imports components; components never import it."""
