"""What readers get: reports, status, badge, statement, OSCAL."""
