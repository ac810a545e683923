"""From a rule set and the columns of its files to a plan of SQL."""
