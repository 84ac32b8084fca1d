//go:build !unix

package launch

import "errors"

// job is what this system cannot run: a launcher.
type job struct{}

func newJob(string, string, int) (*job, error) {
	return nil, errors.New("several processes are not supported on this system: leave --workers out")
}

func (*job) close()                  {}
func (*job) run(_, _ []string) error { return nil }
