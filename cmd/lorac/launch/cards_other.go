//go:build !unix

package launch

import "errors"

// runCards is what this system cannot do: there are no NPUs for it.
func (p *Processes) runCards(string, []string) error {
	return errors.New("several processes are not supported on this system: leave --workers out")
}
