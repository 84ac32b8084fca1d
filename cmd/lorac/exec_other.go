//go:build !unix

package main

// execute runs the trainer; this system cannot replace a process.
func execute(bin string, args []string) error { return runTrainer(bin, args...) }
