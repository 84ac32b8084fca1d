//go:build !unix

package launch

import "errors"

var errSeveralHosts = errors.New("several hosts are not supported on this system")

func (p *Processes) onHosts(*Call) error             { return errSeveralHosts }
func (p *Processes) runHosts(string, []string) error { return errSeveralHosts }
