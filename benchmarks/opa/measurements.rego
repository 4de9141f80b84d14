# The comparisons of a conformity specification as a policy: a value that misses its target is a finding.
package cabc

findings contains name if {
	some name, rule in data.rules
	not satisfied(rule, input.values[name])
}

satisfied(rule, value) if {
	rule.comparison == "LessThan"
	is_number(value)
	value < rule.target
}

satisfied(rule, value) if {
	rule.comparison == "GreaterThanOrEqual"
	is_number(value)
	value >= rule.target
}

satisfied(rule, value) if {
	rule.comparison == "EqualTo"
	value == rule.target
}

satisfied(rule, value) if {
	rule.comparison == "InRange"
	is_number(value)
	value >= rule.target.min
	value <= rule.target.max
}
