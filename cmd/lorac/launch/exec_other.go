//go:build !unix

package launch

// Exec runs the trainer; this system cannot replace a process.
func Exec(bin string, args []string) error { return run(bin, args, true) }
