package main

type convertCmd struct{}

// Run converts.
func (c *convertCmd) Run() error { return usage("not yet") }

type quickstartCmd struct{}

// Run shows.
func (c *quickstartCmd) Run() error { return usage("not yet") }
