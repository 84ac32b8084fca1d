//go:build unix && !linux

package launch

type watch struct{ done chan struct{} }

func watchRanks(func() map[int]int) *watch { return &watch{} }

// end is -1: this system does not say which process ended first.
func (*watch) end() (int, []int) { return -1, nil }
