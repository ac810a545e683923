"""From the text of rules to a rule set: positions, shapes, steps, parameters."""
