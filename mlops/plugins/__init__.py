"""Stand-ins for the two official plugins that no package registry serves; they run from an environment of their own."""
