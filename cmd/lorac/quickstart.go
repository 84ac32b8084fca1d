package main

type quickstartCmd struct{}

// Run shows.
func (c *quickstartCmd) Run() error { return usage("not yet") }
