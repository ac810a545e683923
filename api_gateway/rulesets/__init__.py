"""Named rulesets over HTTP."""
